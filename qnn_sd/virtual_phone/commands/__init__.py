"""The phone's commands, with toybox's output (Android's command line tools)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from qnn_sd.virtual_phone.commands import changing, java, listing, measuring, system, testing, text
from qnn_sd.virtual_phone.commands.call import Call

Command = Callable[[Call], int | None]

COMMANDS: Mapping[str, Command] = {
    ":": system.true,
    "[": testing.bracket,
    "app_process": java.app_process,
    "app_process64": java.app_process,
    "cat": text.cat,
    "chmod": changing.chmod,
    "cp": changing.cp,
    "date": system.date,
    "df": measuring.df,
    "du": measuring.du,
    "dumpsys": system.dumpsys,
    "echo": text.echo,
    "env": system.env,
    "false": system.false,
    "find": listing.find,
    "getprop": system.getprop,
    "grep": text.grep,
    "head": text.head,
    "id": system.identity,
    "kill": system.kill,
    "ln": changing.ln,
    "ls": listing.ls,
    "mkdir": changing.mkdir,
    "mv": changing.mv,
    "pidof": system.pidof,
    "printf": text.printf,
    "ps": system.ps,
    "pwd": system.pwd,
    "readlink": listing.readlink,
    "rm": changing.rm,
    "rmdir": changing.rmdir,
    "setprop": system.setprop,
    "sha256sum": measuring.sha256sum,
    "sleep": system.sleep,
    "stat": measuring.stat,
    "sync": system.true,
    "tail": text.tail,
    "test": testing.test,
    "touch": changing.touch,
    "true": system.true,
    "uname": system.uname,
    "wc": text.wc,
    "whoami": system.whoami,
}
