"""The Dagger engine: the same graphs as calls of Dagger's API, made with `dagger-io`, an optional extra.

What each operation becomes (`lowering.py`, `files.py`):

- `Scratch`: `directory()`
- `Image`: `container(platform).from(ref).rootfs()`
- `Layout`: `container(platform).import(tar of the layout).rootfs()`
- `Http`: `directory().withFile("/name", http(url, name, checksum))`
- `Run`: `container(platform).withRootfs(root)`, then `withEnvVariable`, `withWorkdir`, `withUser`,
  `withMountedDirectory(readOnly)`, or `withMountedFile` for what was fetched, `withMountedCache(LOCKED)`,
  `withMountedSecret` and one `withExec`; the result is `rootfs()`, or `directory(output)` of a mount that was empty
- `Files`: one `withExec` of a shell script in a *helper root*, whatever its actions are; see `files.py`
- `Diff`: `lower.diff(upper)`, from which a script in the helper root takes the links that the engine left in
  `/etc/ssl/certs`: where it trusts further authorities, each step would bring their names into the image
- `Merge`: `withDirectory("/", layer)` for each layer above the first

What Dagger cannot say, and what is done instead:

- **Timestamps, symbolic modes, owners of single files, unpacking**: a script in the helper root, which is the first
  root file system the graph is built on. It must have a shell, coreutils, findutils and tar, as Debian's have.
- **A step without network**: such a step is started with all capabilities, leaves its network namespace with
  `unshare`, and is then given its user and the usual capabilities back by `setpriv`; so its root must have util-linux
  and perl-base, and the engine must allow `insecureRootCapabilities`, as it does by default.
- **A host name**, and the removal of empty mount points after a step: nothing is done. Layers leave both out.
- **Which steps were cached**: every step is reported as done.
- **A deterministic image**: what Dagger exports is packed anew by `pipeline/engine/repack.py`. It says nothing
  of `StopSignal` and `Volumes` either, so the image's config is ours, and no call of Dagger's.
- **Attestations**: nothing is lost, since evidence is made from the layout and not by an engine.
"""
