"""zeropoint install-edge: what it writes, refuses, changes and takes away."""

import os
import re
import shlex
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from servers import ROOT, environment, zeropoint
from tiny_models import write_colour_model
from zeropoint.edge import environment as environment_file
from zeropoint.edge import files, plan, units
from zeropoint.errors import SettingsError, ZeropointError

KEY = "a-key-of-this-test-only"
ALL = {"zeropoint.env", "zeropoint.service", "zeropoint.socket"}
IDLE = {"ZEROPOINT_IDLE_EXIT_S": "60"}
SYNC = {"zeropoint-sync.service", "zeropoint-sync.timer"}
AWAY = {
    "ZEROPOINT_RESULTS": "pubsub://projects/p/topics/t",
    "ZEROPOINT_OUTBOX": "/var/lib/zeropoint/outbox",
}


@pytest.fixture
def variables(colour_repository: Path) -> dict[str, str]:
    return {"ZEROPOINT_MODELS": str(colour_repository)}


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines()


def checked(variables: dict[str, str], **more: object) -> tuple[units.Plan, dict[str, str]]:
    options = {"listen": "127.0.0.1:8080", "allow_network": False, "user": False, **more}
    return plan.checked({**IDLE, **variables}, Path("/units"), **options)  # type: ignore[arg-type]


def test_it_writes_units_and_settings_and_tells_what_to_run(
    tmp_path: Path, colour_repository: Path
) -> None:
    home, units_ = tmp_path / "home", tmp_path / "units"
    home.mkdir()
    settings = {"ZEROPOINT_API_KEY": KEY, "ZEROPOINT_DRAIN_S": "20.5", "PORT": "9", "NOT": "this"}
    arguments = ("install-edge", "--to", str(units_), "--models", str(colour_repository))
    done = zeropoint(home, *arguments, "--listen", "[::1]:9000", settings=settings)
    assert done.returncode == 0, done.stderr
    assert {path.name for path in units_.iterdir()} == ALL
    assert done.stdout.splitlines()[-3:] == [
        "now run:",
        f"  systemctl link {units_}/zeropoint.service {units_}/zeropoint.socket",
        "  systemctl enable --now zeropoint.socket",
    ]
    assert KEY not in done.stdout
    kept = units_ / "zeropoint.env"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert lines(kept)[1:] == [
        f'ZEROPOINT_MODELS="{colour_repository}"',
        'ZEROPOINT_DRAIN_S="20.5"',
        'ZEROPOINT_IDLE_EXIT_S="60"',
        f'ZEROPOINT_API_KEY="{KEY}"',
    ]
    assert "ListenStream=[::1]:9000" in lines(units_ / "zeropoint.socket")
    service = lines(units_ / "zeropoint.service")
    assert f"EnvironmentFile={kept}" in service
    assert f"ExecStart={sys.executable} -m zeropoint serve" in service
    assert "TimeoutStopSec=26" in service
    assert "Restart=no" in service
    assert KEY not in (units_ / "zeropoint.service").read_text()
    for name in ALL - {"zeropoint.env"}:
        assert stat.S_IMODE((units_ / name).stat().st_mode) == 0o644


def test_again_it_writes_what_changed_and_removes_what_is_its_own(
    tmp_path: Path, colour_repository: Path
) -> None:
    arguments = ("install-edge", "--to", str(tmp_path), "--models", str(colour_repository))
    for settings, changed in (
        (AWAY, ALL | SYNC),
        (AWAY, set()),
        ({"ZEROPOINT_IDLE_EXIT_S": "5"}, {"zeropoint.env", "zeropoint.service"}),
    ):
        done = zeropoint(tmp_path, *arguments, settings=settings)
        assert done.returncode == 0, done.stderr
        wrote = {Path(one).name for one in done.stdout.splitlines() if one.startswith("wrote ")}
        assert wrote == changed
        wanted = "zeropoint.socket zeropoint-sync.timer" if settings == AWAY else "zeropoint.socket"
        assert done.stdout.endswith(f"systemctl enable --now {wanted}\n")
    assert "removed" in done.stdout
    assert "systemctl stop zeropoint.socket zeropoint.service" in done.stdout
    assert 'ZEROPOINT_IDLE_EXIT_S="5"' in lines(tmp_path / "zeropoint.env")
    for folder in ("sockets.target.wants", "mine.service.d"):
        (tmp_path / folder).mkdir()
    (tmp_path / "mine.service").write_text("[Service]\n")
    enabled = tmp_path / "sockets.target.wants" / "zeropoint.socket"
    enabled.symlink_to(tmp_path / "zeropoint.socket")
    for said in ("now run:\n  systemctl stop zeropoint.socket", "nothing of zeropoint's in"):
        done = zeropoint(tmp_path, "install-edge", "--to", str(tmp_path), "--remove")
        assert (done.returncode, said in done.stdout) == (0, True)
        assert not enabled.is_symlink()
        left = {path.name for path in tmp_path.glob("*.*")}
        assert left >= {"mine.service"}
        assert not left & (ALL | SYNC)


@pytest.mark.parametrize("verb", ["--start", "--stop"])
def test_it_runs_the_commands_only_when_told(tmp_path: Path, verb: str) -> None:
    """A systemctl that notes what it is asked for: the real one would change this machine."""
    write_colour_model(tmp_path / "models")
    asked = tmp_path / "asked"
    program = tmp_path / "bin" / "systemctl"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\necho "$@" >> {shlex.quote(str(asked))}\n[ "$1" != fails ]\n')
    program.chmod(0o755)
    settings = {"PATH": f"{program.parent}:{os.environ['PATH']}"}
    arguments = ["install-edge", "--to", str(tmp_path), "--models", str(tmp_path / "models")]
    zeropoint(tmp_path, *arguments, settings=settings)
    assert not asked.exists()
    if verb == "--stop":
        arguments = ["install-edge", "--to", str(tmp_path), "--remove", "--user"]
    done = zeropoint(tmp_path, *arguments, verb, settings=settings)
    assert done.returncode == 0, done.stderr
    assert lines(asked) == (
        [
            "stop zeropoint.socket zeropoint.service",
            f"link {tmp_path}/zeropoint.service {tmp_path}/zeropoint.socket",
            "enable --now zeropoint.socket",
        ]
        if verb == "--start"
        else ["--user stop zeropoint.socket zeropoint.service", "--user daemon-reload"]
    )
    program.write_text("#!/bin/sh\nexit 3\n")
    zeropoint(tmp_path, *arguments[:3], "--models", str(tmp_path / "models"))
    failed = zeropoint(tmp_path, *arguments, verb, settings=settings)
    assert failed.returncode == 3


@pytest.mark.parametrize(
    ("more", "options", "expected"),
    [
        ({}, {"listen": "8080"}, "expected an IP address and a port, as 127.0.0.1:8080"),
        ({}, {"listen": "localhost:8080"}, "expected an IP address and a port"),
        ({}, {"listen": "127.0.0.1:0"}, "expected an IP address and a port"),
        ({}, {"listen": "127.0.0.1:65536"}, "expected an IP address and a port"),
        ({}, {"listen": "127.0.0.1:80\nExecStart=/bin/sh"}, "expected an IP address and a port"),
        ({}, {"listen": "999.0.0.1:80"}, "expected an IP address and a port"),
        ({}, {"listen": "0.0.0.0:8080"}, "others can reach 0.0.0.0:8080; expected --allow-network"),
        ({"ZEROPOINT_API_KEY": KEY}, {"listen": "[::]:80"}, "expected --allow-network"),
        ({}, {"listen": "192.168.1.2:80", "allow_network": True}, "expected ZEROPOINT_API_KEY"),
        ({}, {"listen": "[::ffff:10.0.0.1]:80"}, "expected --allow-network"),
        ({"ZEROPOINT_MODELS": "/nonexistent"}, {}, "/nonexistent"),
        ({"ZEROPOINT_IDLE_EXIT_S": "1.9"}, {}, "expected 2 s or more, as systemd gives up"),
        ({"ZEROPOINT_IDLE_EXIT_S": "-1"}, {}, "ZEROPOINT_IDLE_EXIT_S is '-1'"),
        (
            {"ZEROPOINT_RESULTS": "file:///srv/results"},
            {},
            "expected a folder in /var/lib/zeropoint",
        ),
        ({"ZEROPOINT_RESULTS": "file:///var/lib/zeropoint/../x"}, {}, "all that the service may"),
        ({"ZEROPOINT_OUTBOX": "outbox"}, {}, "ZEROPOINT_OUTBOX: expected a folder in"),
        ({"ZEROPOINT_CACHE": "/srv/c"}, {}, "ZEROPOINT_CACHE: expected a folder in /var/cache"),
    ],
)
def test_what_cannot_be_is_told(
    variables: dict[str, str], more: dict[str, str], options: dict[str, object], expected: str
) -> None:
    with pytest.raises(ZeropointError, match=re.escape(expected)) as told:
        checked({**variables, **more}, **options)
    assert KEY not in str(told.value)


def test_a_folder_without_a_model_is_told(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="expected a model, got a folder of none"):
        checked({"ZEROPOINT_MODELS": str(tmp_path)})


def test_a_refusal_writes_nothing(tmp_path: Path, colour_repository: Path) -> None:
    arguments = ("--to", str(tmp_path / "units"), "--models", str(colour_repository))
    done = zeropoint(tmp_path, "install-edge", *arguments, "--listen", "0.0.0.0:1")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("zeropoint: --listen: ")
    assert not (tmp_path / "units").exists()


def test_an_open_address_with_leave_and_a_key_is_taken(variables: dict[str, str]) -> None:
    found, values = checked(
        {**variables, "ZEROPOINT_API_KEY": KEY}, listen="0.0.0.0:8080", allow_network=True
    )
    assert "ListenStream=0.0.0.0:8080" in units.texts(found)[units.SOCKET]
    assert values["ZEROPOINT_API_KEY"] == KEY


@pytest.mark.parametrize(
    ("more", "isolated"),
    [
        ({}, True),
        ({"ZEROPOINT_RESULTS": "file:///var/lib/zeropoint/r"}, True),
        (AWAY, False),
        ({"ZEROPOINT_BUCKETS": "photos"}, False),
        ({"ZEROPOINT_LOGGING": "cloud"}, False),
        ({"ZEROPOINT_MODELS": "gs://bucket/models"}, False),
    ],
)
def test_without_a_target_the_service_has_no_network(
    variables: dict[str, str], more: dict[str, str], isolated: bool
) -> None:
    found, _ = checked({**variables, **more})
    service = units.texts(found)[units.SERVICE].splitlines()
    assert ("PrivateNetwork=yes" in service) == isolated
    assert ("RestrictAddressFamilies=AF_UNIX" in service) == isolated


def test_what_is_away_is_sent_by_a_timer(variables: dict[str, str]) -> None:
    found, _ = checked({**variables, **AWAY, "GOOGLE_APPLICATION_CREDENTIALS": "/etc/key.json"})
    texts = units.texts(found)
    assert texts.keys() == {units.SOCKET, units.SERVICE, units.SYNC, units.TIMER}
    for name in (units.SERVICE, units.SYNC):
        assert "PrivateNetwork=yes" not in texts[name]
        assert "LoadCredential=google.json:/etc/key.json" in texts[name].splitlines()
    assert f"ExecStart={sys.executable} -m zeropoint sync" in texts[units.SYNC].splitlines()
    for incomplete in ({"ZEROPOINT_OUTBOX": ""}, {"ZEROPOINT_RESULTS": ""}):
        found, _ = checked({**variables, **AWAY, **incomplete})
        assert units.SYNC not in units.texts(found)


def test_a_users_own_service_asks_for_nothing_that_only_root_can_do(
    variables: dict[str, str], tmp_path: Path
) -> None:
    more = {"ZEROPOINT_RESULTS": f"file://{tmp_path}", "ZEROPOINT_OUTBOX": str(tmp_path)}
    found, _ = checked({**variables, **more}, user=True)
    service = units.texts(found)[units.SERVICE]
    assert "NoNewPrivileges=yes" in service
    for name in ("DynamicUser", "PrivateNetwork", "ProtectSystem", "PrivateTmp", "LoadCredential"):
        assert name not in service


def test_folders_in_a_hidden_home_are_shown_to_the_service(
    variables: dict[str, str], tmp_path: Path
) -> None:
    found, _ = checked(variables)
    outside = found._replace(needed=[Path("/opt/models")])
    assert "ProtectHome=yes" in units.texts(outside)[units.SERVICE].splitlines()
    needed = [Path("/home/me/my models"), Path("/root/a:b"), Path("/opt/venv")]
    service = units.texts(found._replace(needed=needed))[units.SERVICE].splitlines()
    assert "ProtectHome=tmpfs" in service
    assert [one for one in service if one.startswith("Bind")] == [
        'BindReadOnlyPaths="/home/me/my models"',
        'BindReadOnlyPaths="/root/a\\\\:b"',
    ]


def test_the_command_is_called_by_the_name_that_was_typed(
    tmp_path: Path, colour_repository: Path
) -> None:
    """A link to the version that is installed now is one in the unit, too."""
    script = tmp_path / "venv-1" / "zeropoint"
    script.parent.mkdir()
    script.write_text(f"#!{sys.executable}\nfrom zeropoint.cli import main\nmain()\n")
    script.chmod(0o755)
    (tmp_path / "current").symlink_to("venv-1")
    command = [tmp_path / "current" / "zeropoint", "install-edge", "--to", tmp_path / "units"]
    subprocess.run(
        [*map(str, command), "--models", str(colour_repository)],
        cwd=ROOT / "function",
        env=environment(tmp_path, {"PYTHONPATH": str(ROOT / "function")}),
        check=True,
        capture_output=True,
        timeout=60,
    )
    service = lines(tmp_path / "units" / "zeropoint.service")
    assert f"ExecStart={tmp_path}/current/zeropoint serve" in service


def test_settings_are_quoted_as_systemd_reads_them() -> None:
    text = environment_file.text({"ZEROPOINT_MODELS": 'a "b" $c `d` \\ e#f;g é'})
    assert text.splitlines()[1] == 'ZEROPOINT_MODELS="a \\"b\\" \\$c \\`d\\` \\\\ e#f;g é"'
    for wrong in ("a\nb", "a\0b", "\udcff"):
        with pytest.raises(SettingsError, match="without control characters"):
            environment_file.text({"ZEROPOINT_MODELS": wrong})


def test_a_file_of_somebody_elses_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "zeropoint.service"
    path.write_text("[Service]\n")
    with pytest.raises(SettingsError, match="expected no file or one of zeropoint's"):
        files.write(path, units.MARK, 0o644)
    assert not files.remove(tmp_path, path.name)
    path.unlink()
    path.symlink_to("/dev/null")  # as of `systemctl mask`
    with pytest.raises(SettingsError, match="expected no file or one of zeropoint's"):
        files.write(path, units.MARK, 0o644)
    assert not files.remove(tmp_path, path.name)
    assert [one.name for one in tmp_path.iterdir()] == [path.name]


def test_a_folder_that_refuses_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match="expected a folder that can be written"):
        files.write(tmp_path / "file" / "zeropoint.env", units.MARK, 0o600)


def test_a_file_with_other_rights_is_written_anew(tmp_path: Path) -> None:
    path = tmp_path / "zeropoint.env"
    assert files.write(path, units.MARK + "\n", 0o600)
    path.chmod(0o644)
    assert files.write(path, units.MARK + "\n", 0o600)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not files.write(path, units.MARK + "\n", 0o600)


def test_without_systemd_it_says_so(tmp_path: Path) -> None:
    if Path("/run/systemd/system").is_dir():
        pytest.skip("this machine runs systemd")
    done = zeropoint(tmp_path, "install-edge", "--user")
    assert done.returncode == 1
    assert "expected a machine that systemd runs" in done.stderr
    assert not (tmp_path / ".config").exists()
