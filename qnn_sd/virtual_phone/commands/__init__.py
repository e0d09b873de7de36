"""The phone's commands, with the output of toybox (Android's command line tools)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from qnn_sd.virtual_phone.commands import (
    app_process,
    disk_usage,
    file_status,
    find,
    list_files,
    modify_files,
    permissions_and_times,
    process_control,
    system,
    test_condition,
    text,
)
from qnn_sd.virtual_phone.commands.call import Call

Command = Callable[[Call], int | None]

COMMANDS: Mapping[str, Command] = {
    ":": system.true,
    "[": test_condition.bracket,
    "app_process": app_process.app_process,
    "app_process64": app_process.app_process,
    "cat": text.cat,
    "chmod": permissions_and_times.chmod,
    "cp": modify_files.cp,
    "date": system.date,
    "df": disk_usage.df,
    "du": disk_usage.du,
    "dumpsys": system.dumpsys,
    "echo": text.echo,
    "env": system.env,
    "false": system.false,
    "find": find.find,
    "getprop": system.getprop,
    "grep": text.grep,
    "head": text.head,
    "id": system.identity,
    "kill": process_control.kill,
    "ln": modify_files.ln,
    "ls": list_files.ls,
    "mkdir": modify_files.mkdir,
    "mv": modify_files.mv,
    "pidof": process_control.pidof,
    "printf": text.printf,
    "ps": process_control.ps,
    "pwd": system.pwd,
    "readlink": list_files.readlink,
    "rm": modify_files.rm,
    "rmdir": modify_files.rmdir,
    "setprop": system.setprop,
    "sha256sum": file_status.sha256sum,
    "sleep": system.sleep,
    "stat": file_status.stat,
    "sync": system.true,
    "tail": text.tail,
    "test": test_condition.test,
    "touch": permissions_and_times.touch,
    "true": system.true,
    "uname": system.uname,
    "wc": text.wc,
    "whoami": system.whoami,
}
