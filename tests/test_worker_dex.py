"""The jar for the phone, read as Android reads it: what is in it, and what the worker can reach."""

from __future__ import annotations

import io
import zipfile
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path

import artifacts
import build_worker
import pytest
from class_files import JavaClass, Library
from dex import INVOKE_CUSTOM, INVOKE_POLYMORPHIC, ClassDef, Dex, Method, MethodRef

from qnn_sd.runtime_libraries import desktop_jar, pinned_file

WORKER = "Lio/github/qnnsd/worker/"
RUNTIME = "Lai/onnxruntime/"
OBJECT = "Ljava/lang/Object;"
TO_STRING = MethodRef("Ljava/lang/Object;", "toString", "()Ljava/lang/String;")
JAR = build_worker.JARS / "worker.dex.jar"
# The oldest Android that the worker is for.
OLDEST_API = 27
# What ONNX Runtime uses and the copy of Android's java.* is too old to have, with the API level that brought it,
# from Android's reference.
PATH = "Ljava/nio/file/Path;"
OPTIONAL = "Ljava/util/Optional;"
ATTRIBUTE = "Ljava/nio/file/attribute/FileAttribute;"
NEWER_CLASSES = {"Ljava/nio/file/Files;": 26, "Ljava/nio/file/Paths;": 26, PATH: 26, ATTRIBUTE: 26, OPTIONAL: 24}
NEWER_MEMBERS = {
    ("Ljava/nio/file/Files;", "createTempDirectory", f"(Ljava/lang/String;[{ATTRIBUTE}){PATH}"),
    ("Ljava/nio/file/Paths;", "get", f"(Ljava/lang/String;[Ljava/lang/String;){PATH}"),
    (PATH, "resolve", f"(Ljava/lang/String;){PATH}"),
    (PATH, "toFile", "()Ljava/io/File;"),
    (OPTIONAL, "empty", f"(){OPTIONAL}"),
    (OPTIONAL, "of", f"({OBJECT}){OPTIONAL}"),
    (OPTIONAL, "get", f"(){OBJECT}"),
    (OPTIONAL, "isPresent", "()Z"),
}


@pytest.fixture(scope="module")
def dex() -> Dex:
    with zipfile.ZipFile(JAR) as jar:
        return Dex(jar.read("classes.dex"))


@pytest.fixture(scope="module")
def android() -> Iterator[Library]:
    """Android's class library."""
    library = Library(pinned_file(artifacts.ANDROID_CORE), pinned_file(artifacts.ANDROID_FRAMEWORK))
    yield library
    library.close()


def of_worker(dex: Dex) -> list[ClassDef]:
    return [found for found in dex.classes.values() if found.name.startswith(WORKER)]


def class_names(jar: Path | bytes) -> set[str]:
    """Names of a jar's classes, as a dex writes them."""
    with zipfile.ZipFile(io.BytesIO(jar) if isinstance(jar, bytes) else jar) as opened:
        return {f"L{name.removesuffix('.class')};" for name in opened.namelist() if name.endswith(".class")}


def test_every_class_is_there_and_no_other(dex: Dex) -> None:
    runtime = class_names(desktop_jar())
    desk = {name for name in class_names(build_worker.JARS / "worker.jar") if "JvmPlatform" not in name}
    assert len(runtime) >= 60
    android = {name for name in dex.classes if name.startswith(f"{WORKER}AndroidPlatform")}
    assert f"{WORKER}AndroidPlatform;" in android
    assert set(dex.classes) == runtime | desk | android
    # Main is what app_process is told; the two platforms are found by name.
    assert f"{WORKER}Main;" in desk


def test_android_8_reads_it(dex: Dex) -> None:
    """Dex 038 is Android 8.0's (API 26)."""
    assert dex.version <= "038"


def test_nothing_in_the_worker_needs_a_bootstrap_method(dex: Dex) -> None:
    """Lambdas and the like call java.lang.invoke factories that Android doesn't have."""
    opcodes = set[int]().union(*(method.opcodes for found in of_worker(dex) for method in found.methods))
    assert len(opcodes) > 50, "the code was read"
    assert not opcodes & (INVOKE_CUSTOM | INVOKE_POLYMORPHIC)


def subtypes(dex: Dex) -> dict[str, set[str]]:
    """Every class of the dex, by each of its direct and indirect parents and itself."""
    below: dict[str, set[str]] = {}
    for name in dex.classes:
        todo, seen = [name], set()
        while todo:
            parent = todo.pop()
            if parent not in seen:
                seen.add(parent)
                todo += dex.classes[parent].parents if parent in dex.classes else []
        for parent in seen:
            below.setdefault(parent, set()).add(name)
    return below


def reachable(dex: Dex) -> set[MethodRef]:
    """What the worker's code may call, directly or not; a call of a method may be one of any override.

    Only ``Object.toString`` is left out, which anything could be: the test looks at its callers.
    """
    below = subtypes(dex)
    bodies: dict[MethodRef, Method] = {m.ref: m for found in dex.classes.values() for m in found.methods}
    found: set[MethodRef] = set()
    todo = deque(method.ref for worker in of_worker(dex) for method in worker.methods)
    while todo:
        ref = todo.popleft()
        if ref in found:
            continue
        found.add(ref)
        method = bodies[ref]
        owners = method.types | {ref.owner}
        todo += [m for owner in owners if (m := MethodRef(owner, "<clinit>", "()V")) in bodies]
        for called in method.calls - {TO_STRING}:
            # A constructor is called by its own name alone.
            owners = set() if called.name == "<init>" else set(below.get(called.owner, ()))
            above = [called.owner]
            while above:
                owner = above.pop()
                owners.add(owner)
                above += dex.classes[owner].parents if owner in dex.classes else []
            todo += [m for owner in owners if (m := MethodRef(owner, called.name, called.signature)) in bodies]
    return found


def test_what_cannot_run_is_not_reached(dex: Dex) -> None:
    """ONNX Runtime has such code, for lambdas and for processors' half precision; the worker stays clear of it."""
    barred = INVOKE_CUSTOM | INVOKE_POLYMORPHIC
    there = {m.ref for found in dex.classes.values() for m in found.methods if m.opcodes & barred}
    assert MethodRef(f"{RUNTIME}TensorInfo;", "toString", "()Ljava/lang/String;") in there, "the reader sees them"
    reached = reachable(dex)
    assert any(ref.owner == f"{RUNTIME}OrtSession;" and ref.name == "run" for ref in reached)
    assert not there & reached
    # This one is on a set of names, for the message that an input has no such name.
    callers = {m.ref for found in dex.classes.values() for m in found.methods if TO_STRING in m.calls}
    assert {(ref.owner, ref.name) for ref in callers & reached} == {(f"{RUNTIME}OrtSession;", "run")}


def has_member(find: Callable[[str], ClassDef | JavaClass | None], owner: str, name: str, descriptor: str) -> bool:
    """Whether a class or one of its parents has a member."""
    found = find(OBJECT if owner.startswith("[") else owner)
    if found is None:
        return False
    if (name, descriptor) in found.members:
        return True
    return name != "<init>" and any(has_member(find, parent, name, descriptor) for parent in found.parents)


def test_members_are_found_where_android_has_them(android: Library) -> None:
    for owner, name, descriptor in (
        ("Ljava/util/ArrayList;", "size", "()I"),
        ("Ljava/io/FileInputStream;", "getClass", "()Ljava/lang/Class;"),
        ("Ljava/util/List;", "hashCode", "()I"),
        ("[I", "clone", f"(){OBJECT}"),
        ("Landroid/os/Build$VERSION;", "SDK_INT", "I"),
        # Java 8 returns a Buffer.
        ("Ljava/nio/ByteBuffer;", "clear", "()Ljava/nio/Buffer;"),
    ):
        assert has_member(android.find, owner, name, descriptor), (owner, name)
    for owner, name, descriptor in (
        ("Ljava/nio/ByteBuffer;", "clear", "()Ljava/nio/ByteBuffer;"),
        ("Ljava/io/FileInputStream;", "<init>", "()V"),
        ("Ljava/lang/String;", "value", "[C"),
        ("Ljava/lang/ProcessHandle;", "pid", "()J"),
    ):
        assert not has_member(android.find, owner, name, descriptor), (owner, name)


def test_what_is_reached_is_in_the_oldest_android(dex: Dex, android: Library) -> None:
    """ONNX Runtime's classes too, which were compiled against a desktop's Java."""

    def find(name: str) -> ClassDef | JavaClass | None:
        return dex.classes.get(name) or android.find(name)

    reached = reachable(dex)
    methods = [method for found in dex.classes.values() for method in found.methods if method.ref in reached]
    used = {(call.owner, call.name, call.signature) for method in methods for call in method.calls}
    used |= {(field.owner, field.name, field.type) for method in methods for field in method.fields}
    assert len(used) > 500, "the code was read"
    assert {member for member in used if not has_member(find, *member)} == NEWER_MEMBERS
    named = {name.lstrip("[") for method in methods for name in method.types}
    classes = {name for name in named if name.startswith("L")}
    assert {name for name in classes if find(name) is None} == set(NEWER_CLASSES)
    assert max(NEWER_CLASSES.values()) <= OLDEST_API


def test_the_worker_refers_to_the_jar_and_to_android_alone(dex: Dex) -> None:
    """Android's packages in API 27; the compiler has checked each member against them."""
    known = ("Ljava/io/", "Ljava/lang/", "Ljava/nio/", "Ljava/security/", "Ljava/util/")
    android = ("Landroid/net/Local", "Landroid/os/", "Landroid/system/")
    named = set[str]().union(
        *(method.types for found in of_worker(dex) for method in found.methods),
        *(found.parents for found in of_worker(dex)),
    )
    outside = {name.lstrip("[") for name in named} - set(dex.classes)
    objects = {name for name in outside if name.startswith("L")}
    assert "Landroid/net/LocalServerSocket;" in objects
    assert not {name for name in objects if not name.startswith(known + android)}
    assert not {name for name in objects if name.startswith("Ljava/lang/invoke/")}
    only_android = {name for name in objects if name.startswith("Landroid/")}
    users = {found.name for found in of_worker(dex) if any(only_android & method.types for method in found.methods)}
    assert all(name.startswith(f"{WORKER}AndroidPlatform") for name in users)


def test_onnxruntimes_licence_travels_with_its_classes() -> None:
    with zipfile.ZipFile(JAR) as jar:
        assert b"Copyright (c) Microsoft Corporation" in jar.read("META-INF/onnxruntime/LICENSE")
        notices = jar.read("META-INF/onnxruntime/ThirdPartyNotices.txt")
    with zipfile.ZipFile(desktop_jar()) as source:
        assert notices == source.read("ThirdPartyNotices.txt")
