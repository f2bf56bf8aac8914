"""A stand-in for the model APIs agents speak: it asks for one tool that writes a file, then says that this is done.

A test tool, run by Python with uvicorn inside the build sandbox, beside the agent; nothing else imports it. Rules kept
here:

- nothing but the standard library is imported (uvicorn in `__main__` alone), and nothing of the rest of the program;
- a conversation that holds no tool result yet is answered with a tool call, one that does with `LAST_WORDS`;
- which tool and which arguments is chosen from what the client offers, so no agent is known by name;
- every request is told on standard error; what is not a model's turn gets an answer that does no harm.
"""
