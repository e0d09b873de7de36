"""The virtual phone's shell and its commands, over the real adb."""

from __future__ import annotations

import os

import pytest
from adb_host import PhoneOnAdb, noise

# The shell's language


@pytest.mark.parametrize(
    ("script", "printed"),
    [
        ("echo a  b; echo 'a  b'; echo \"a  b\"", "a b\na  b\na  b\n"),
        ("true && echo yes || echo no; false && echo yes || echo no; ! true || echo not", "yes\nno\nnot\n"),
        ("A='x  y'; echo $A \"$A\" '$A' \"\\$A\" ${A}z", "x y x  y $A $A x yz\n"),
        ("A=1 env | grep ^A=; A=2 true; echo [$A]", "A=1\n[]\n"),
        ("export B=3; sh -c 'echo $B'; unset B; sh -c 'echo [$B]'", "3\n[]\n"),
        ("false; echo $? $?; cd /sys/class; pwd; echo $PWD", "1 1\n/sys/class\n/sys/class\n"),
        ("echo $(echo $(echo deep)) \"$(printf 'a\\n\\n')\"end", "deep aend\n"),
        ("if [ -d /sdcard ]; then echo folder; elif false; then echo a; else echo b; fi", "folder\n"),
        ("if false; then echo a; elif [ 3 -gt 12 ]; then echo b; else echo c; fi", "c\n"),
        ("printf '%s-%d\\n' a 1 b 2; echo -n x; echo -e 'y\\tz'", "a-1\nb-2\nxy\tz\n"),
        ("printf 'c\\nb\\na\\n' | tail -n 2 | head -n 1 # a remark", "b\n"),
        ("printf 'one\\ntwo\\n' | grep -c o; printf 'one two\\n' | wc -w; echo abc | wc -c", "2\n2\n4\n"),
        ("nope 2>/dev/null; echo $?; ls /nope 2>&1 | wc -l", "127\n1\n"),
        ("exec echo gone; echo never", "gone\n"),
        ("echo one; exit 0; echo never", "one\n"),
        ("test -n '' -o x; echo $?", "2\n"),
        ("echo a\necho b\\\nc\n\necho d", "a\nbc\nd\n"),
    ],
)
def test_the_shell_reads(phone: PhoneOnAdb, script: str, printed: str) -> None:
    assert phone.bytes("shell", script).stdout.decode() == printed


@pytest.mark.parametrize(
    "script",
    [
        "for f in a; do echo $f; done",
        "while true; do echo; done",
        "sleep 1 &",
        "(echo a)",
        "{ echo a; }",
        "echo `id`",
        "cat <<END",
        "echo $((1+1))",
        "echo ${A:-b}",
        "echo $1",
        "echo a{b,c}",
        "echo 'open",
        'echo "open',
        "echo $(echo",
        "if true; then echo a",
        "then echo a",
        "echo a;; echo b",
        "echo a >",
        "| cat",
        "f() { echo; }",
        "echo hi >&3",
        "ls ~",
    ],
)
def test_the_shell_refuses_what_it_does_not_read(phone: PhoneOnAdb, script: str) -> None:
    done = phone.bytes("shell", f"echo before; {script}" if not script.startswith("|") else script)
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.startswith(b"/system/bin/sh: syntax error: ")


def test_redirections(phone: PhoneOnAdb, folder: str) -> None:
    script = f"cd {folder}; echo a > f; echo b >> f; cat < f; ls nope > both 2>&1; cat both; nope 2> e; cat e; cat < no"
    done = phone.bytes("shell", script)
    assert done.stdout.decode() == (
        "a\nb\nls: nope: No such file or directory\n/system/bin/sh: nope: inaccessible or not found\n"
    )
    assert done.stderr == b"/system/bin/sh: can't open no: No such file or directory\n"
    assert done.returncode == 1


def test_globs(phone: PhoneOnAdb, folder: str) -> None:
    phone.shell(f"cd {folder}; mkdir d e; touch a1 a2 .h d/x e/x 'b *'")
    lines = phone.shell(f"cd {folder}; echo a*; echo a?; echo */x; echo no*; echo 'a*'; echo \"a\"*; echo b*; echo .h*")
    assert lines.splitlines() == ["a1 a2", "a1 a2", "d/x e/x", "no*", "a*", "a1 a2", "b *", ".h"]
    assert phone.shell(f"echo {folder}/a*").split() == [f"{folder}/a1", f"{folder}/a2"]
    # What a variable brings is a pattern, a quoted star in a name is none.
    assert phone.shell(f"cd {folder}; P='a*'; echo $P; rm 'b *'; ls") == "a1 a2\na1\na2\nd\ne\n"


# Its commands


def test_commands_that_change_files(phone: PhoneOnAdb, folder: str) -> None:
    shell = phone.shell
    shell(f"cd {folder}; mkdir -p a/b/c; echo 12345 > a/f; chmod 640 a/f; touch -d @1000000000 a/f")
    assert shell(f"stat -c '%s %Y %a %n' {folder}/a/f") == f"6 1000000000 640 {folder}/a/f\n"
    shell(f"cd {folder}; cp -r a copy; cp -p a/f kept; mv -f kept a/f2; chmod u+x,o=r a/f; ln -s a/f link")
    assert shell(f"cd {folder}; stat -c %a a/f; stat -c %Y a/f2; readlink link; cat copy/f; cat link") == (
        "744\n1000000000\na/f\n12345\n12345\n"
    )
    shell(f"cd {folder}; mkdir to; mv a copy to; mv -T to done; rm -r done/copy")
    assert shell(f"cd {folder}; ls; ls -A done") == "done\nlink\na\n"
    done = phone.bytes(
        "shell", f"cd {folder}; mkdir done; rm done; rmdir done; rm none; rm -f none; cp none x; mv none x"
    )
    assert done.stderr.decode().splitlines() == [
        "mkdir: 'done': File exists",
        "rm: done: Is a directory",
        "rmdir: done: Directory not empty",
        "rm: none: No such file or directory",
        "cp: bad 'none': No such file or directory",
        "mv: bad 'none': No such file or directory",
    ]


def test_ls_as_toybox_prints_it(phone: PhoneOnAdb, folder: str) -> None:
    phone.shell(f"cd {folder}; echo 12345 > f; touch -d @1000000000 f; chmod 600 f; mkdir d; touch .hidden d/in")
    long = phone.shell(f"TZ=UTC ls -l {folder}").splitlines()
    assert long[0].startswith("total ")
    mode, links, owner, group, size, _, _, name = long[2].split()
    assert (mode, links, owner, group, size, name) == ("-rw-------", "1", "shell", "shell", "6", "f")
    assert long[1].startswith("drwxrwxrwx 2 shell shell ")
    assert phone.shell(f"cd {folder}; ls -a; ls -d .; ls f d") == ".\n..\n.hidden\nd\nf\n.\nf\n\nd:\nin\n"
    assert phone.shell("ls -ld /sdcard").endswith("/sdcard -> /storage/emulated/0\n")
    done = phone.bytes("shell", "ls /nope; ls -q")
    assert done.stderr == b"ls: /nope: No such file or directory\nls: Unknown option 'q' (see \"ls --help\")\n"


def test_find_by_type_name_and_age(phone: PhoneOnAdb, folder: str) -> None:
    phone.shell(f"cd {folder}; mkdir old new; touch old/f new/g.bin; touch -d @1000000000 old/f; ln -s old l")
    find = f"cd {folder}; find"
    assert phone.shell(f"{find} . -type f").split() == ["./new/g.bin", "./old/f"]
    assert phone.shell(f"{find} . -name '*.bin'") == "./new/g.bin\n"
    assert phone.shell(f"{find} -type f -mtime +30") == "./old/f\n"
    assert phone.shell(f"{find} . -type f -mmin -10") == "./new/g.bin\n"
    assert phone.shell(f"{find} . -mindepth 1 -maxdepth 1 -type d").split() == ["./new", "./old"]
    phone.shell(f"{find} old -delete; find . -type l -delete")
    assert phone.shell(f"ls {folder}") == "new\n"
    assert "find: bad option '-exec'" in phone.fails("shell", f"{find} . -exec rm")


def test_hashes_and_sizes(phone: PhoneOnAdb, folder: str) -> None:
    # SHA-256 of nothing and of "abc": FIPS 180-2's examples.
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    phone.shell(f"cd {folder}; touch empty; echo -n abc > abc; sha256sum empty abc > sums")
    assert phone.shell(f"cat {folder}/sums") == f"{empty}  empty\n{abc}  abc\n"
    assert phone.shell(f"cd {folder}; sha256sum -c sums") == "empty: OK\nabc: OK\n"
    assert phone.fails("shell", f"cd {folder}; echo > abc; sha256sum -c sums") == "empty: OK\nabc: FAILED\n"
    phone.bytes("shell", f"cat > {folder}/big", stdin=noise(200_000), check=True)
    kilobytes, path = phone.shell(f"du -k -s {folder}").split("\t")
    assert 195 < int(kilobytes) < 300
    assert path == f"{folder}\n"
    head, row = phone.shell(f"df -k {folder}").splitlines()
    assert head.split() == ["Filesystem", "1K-blocks", "Used", "Available", "Use%", "Mounted", "on"]
    assert int(row.split()[1]) > int(row.split()[3]) > 0


def test_processes_and_identity(phone: PhoneOnAdb) -> None:
    assert phone.shell("id").startswith("uid=2000(shell) gid=2000(shell)")
    assert phone.shell("uname -m") == "aarch64\n"
    listed = [line.split() for line in phone.shell("ps -A -o PID,NAME").splitlines()]
    assert listed[0] == ["PID", "NAME"]
    assert [str(os.getpid()), "adbd"] in listed
    assert "Operation not permitted" in phone.fails("shell", f"kill {os.getpid()}")
    # A process of the host that isn't the phone's.
    assert "No such process" in phone.fails("shell", f"kill -9 {os.getppid()}")
    assert phone.bytes("shell", "pidof nothing").returncode == 1
    assert abs(int(phone.shell("date +%s")) - int(phone.shell("touch /sdcard/t; stat -c %Y /sdcard/t"))) < 60
