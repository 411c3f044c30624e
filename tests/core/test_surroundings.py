"""A command reaches servers on this machine without a proxy, and runs for a user without a name."""

import getpass
import os
import pwd
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from pipeline.core import surroundings
from tests.fixtures.project import REPOSITORY

VARIABLES = [
    spelling for name in (*surroundings.PROXIES, "no_proxy", *surroundings.NAMES) for spelling in {name, name.upper()}
]


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """None of the variables is set, and all are as before afterwards."""
    for name in (*VARIABLES, "HOME"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


@pytest.mark.parametrize("proxy", ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY"])
@pytest.mark.parametrize(
    ("name", "known"),
    [("NO_PROXY", ""), ("NO_PROXY", "example.com"), ("no_proxy", "example.com, .local"), ("NO_PROXY", "*")],
    ids=["none", "one", "two in small letters", "all"],
)
def test_no_proxy_is_asked_for_this_machine(proxy: str, name: str, known: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(proxy, "http://proxy.example:3128")
    monkeypatch.setenv(name, known)
    surroundings.mend()
    surroundings.mend()
    for host in ("127.0.0.1", "localhost", *(host.strip() for host in known.split(",") if host)):
        assert urllib.request.proxy_bypass_environment(host.replace("*", "any.example")), host
    assert bool(urllib.request.proxy_bypass_environment("elsewhere.org")) == (known == "*")
    assert os.environ["NO_PROXY"].count("localhost") <= 1


def test_without_a_proxy_nothing_is_set() -> None:
    surroundings.mend()
    assert not {"no_proxy", "NO_PROXY"} & set(os.environ)


def test_a_user_whom_the_system_does_not_know_has_a_name_and_a_home(monkeypatch: pytest.MonkeyPatch) -> None:
    unknown = next(number for number in range(12345, 60000) if number not in {one.pw_uid for one in pwd.getpwall()})
    monkeypatch.setattr(os, "getuid", lambda: unknown)
    with pytest.raises((KeyError, OSError)):
        getpass.getuser()
    surroundings.mend()
    assert getpass.getuser() == f"uid {unknown}"
    assert Path.home() == Path.cwd()
    monkeypatch.setenv("LOGNAME", "given")
    monkeypatch.setenv("HOME", "/given")
    surroundings.mend()
    assert (getpass.getuser(), Path.home()) == ("given", Path("/given"))


CODE = """
import sys, logging
from pipeline.core import log_file, terminal
from pipeline.core.command import ended

def work():
    with log_file.opened("test"):
        for number in range(3):
            print("answer", number, flush=True)
            terminal.say(logging.WARNING, "a line")
            if not number:
                sys.stdin.readline()  # until the test has closed the pipes
    open("done", "w").close()

sys.exit(ended(work))
"""


def test_who_reads_only_the_first_line_does_not_stop_the_work(tmp_path: Path) -> None:
    pipe, words = subprocess.PIPE, [sys.executable, "-c", CODE]
    env = {"PYTHONPATH": str(REPOSITORY), "PATH": os.environ["PATH"]}
    with subprocess.Popen(words, cwd=tmp_path, env=env, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as command:
        assert command.stdin
        assert command.stdout
        assert command.stderr
        assert (command.stdout.readline(), command.stderr.readline()) == ("answer 0\n", "Warning: a line\n")
        command.stdout.close()
        command.stderr.close()
        command.stdin.close()
        assert command.wait(20) == 0
    assert (tmp_path / "done").is_file()


@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (0, 1, 2)])
def test_a_standard_stream_that_is_closed_is_opened_on_nothing(closed: tuple[int, ...]) -> None:
    names = ("stdin", "stdout", "stderr")
    code = (
        f"import os\nfor number in {closed}: os.close(number)\n"
        "import sys\n"
        f"for number in {closed}: setattr(sys, {names}[number], None)\n"
        "from pipeline.core.surroundings import mend\n"
        "mend()\n"
        f"assert [getattr(sys, name).fileno() for name in {names}] == [0, 1, 2]\n"
        f"for number in {closed}: assert os.readlink(f'/proc/self/fd/{{number}}') == os.devnull\n"
        "print(sys.stdin.read(), file=sys.stdout)\nprint(file=sys.stderr)"
    )
    assert subprocess.run([sys.executable, "-c", code], stdin=subprocess.DEVNULL, check=False).returncode == 0
