"""Files that people and other programs start from: pure functions of facts and of the texts in templates/."""
