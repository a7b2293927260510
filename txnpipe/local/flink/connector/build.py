"""Builds kinesis-connector.jar from the Java source beside it, the same bytes every time.

    python -m txnpipe.local.flink.connector.build

Needs javac of JDK 17 and the jars of `apache-flink-libraries`, to compile against. Users need no javac: the
jar is committed, and a test rebuilds it.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
import zipfile
from pathlib import Path

from txnpipe.errors import ExitCode, TxnpipeError
from txnpipe.local.flink.libraries import flink_jars

HERE = Path(__file__).parent
JAR = HERE / "kinesis-connector.jar"
COMPILER = 17
"""Other compilers write slightly different class files."""
RELEASE = 11
"""Class files for Java 11, the oldest that Flink 1.20 and 2.x run on."""
_EPOCH = (1980, 1, 1, 0, 0, 0)


def compiler() -> str | None:
    """Path of a javac of the right version, or None."""
    javac = shutil.which("javac")
    if javac is None:
        return None
    version = subprocess.run([javac, "-version"], capture_output=True, text=True, check=True)
    found = re.match(r"javac (\d+)", version.stdout or version.stderr)
    return javac if found and int(found[1]) == COMPILER else None


def build(target: Path) -> None:
    """Compiles the source and writes the jar to `target`."""
    javac = compiler()
    if javac is None:
        raise TxnpipeError(
            f"There is no javac of JDK {COMPILER} on this machine.",
            f"Install a JDK {COMPILER}, then build again.",
            ExitCode.ENVIRONMENT,
        )
    with tempfile.TemporaryDirectory() as directory:
        classes = Path(directory)
        classpath = ":".join(str(jar) for jar in flink_jars())
        sources = sorted(str(path) for path in (HERE / "src").rglob("*.java"))
        command = [javac, "--release", str(RELEASE), "-proc:none", "-g:source,lines", "-nowarn"]
        completed = subprocess.run(
            [*command, "-d", str(classes), "-cp", classpath, *sources],
            capture_output=True,
            text=True,
            check=False,
        )
        if completed.returncode:
            raise TxnpipeError(
                f"javac failed: {completed.stderr.strip()}", "Correct the source.", ExitCode.INTERNAL
            )
        _pack(target, [(HERE / "resources"), classes])


def _pack(target: Path, roots: list[Path]) -> None:
    entries = {
        path.relative_to(root).as_posix(): path
        for root in roots
        for path in root.rglob("*")
        if path.is_file()
    }
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as jar:
        for name in sorted(entries):
            info = zipfile.ZipInfo(name, _EPOCH)
            info.external_attr = 0o644 << 16
            info.create_system = 3
            jar.writestr(info, entries[name].read_bytes())


if __name__ == "__main__":
    build(JAR)
