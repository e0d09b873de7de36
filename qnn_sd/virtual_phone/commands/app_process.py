"""``app_process``: runs a Java class, as Android's does (``cmds/app_process`` of AOSP's frameworks/base)."""

from __future__ import annotations

from qnn_sd.errors import QnnSdError
from qnn_sd.virtual_phone.commands.call import Call, CommandError


def app_process(call: Call) -> int:
    """``app_process [VM-OPTION...] FOLDER CLASS [ARGUMENT...]`` with CLASSPATH set.

    The jars of CLASSPATH contain Android's bytecode. They must exist; what runs are the same classes, compiled for this
    machine's Java.
    """
    words = list(call.arguments)
    options = []
    while words and words[0].startswith("-"):
        options.append(words.pop(0))
    if len(words) < 2:
        raise CommandError("only app_process [VM-OPTION...] FOLDER CLASS [ARGUMENT...]")
    main, arguments = words[1], words[2:]
    jars = [jar for jar in call.environment.get("CLASSPATH", "").split(":") if jar]
    missing = [jar for jar in jars if not call.files.resolve(jar, call.cwd).host_path.is_file()]
    if missing or not jars:
        # A phone writes the same to stderr, and the detail to its log.
        detail = f": {missing[0]} is missing" if missing else ": CLASSPATH is empty"
        raise CommandError(f"Error: could not find class '{main}'{detail}")
    try:
        command = call.device.java.host_command(options, main, arguments, call.environment)
    except QnnSdError as error:
        raise CommandError(" ".join(str(error).splitlines())) from error
    return call.device.processes.run(
        "app_process",
        " ".join(["app_process", *call.arguments]),
        command,
        call.stdio,
        call.caller.pid,
        call.caller.hung_up.is_set,
        call.caller.ignores_hangup,
    )
