"""A real SLURM cluster on this machine alone, for as long as the tests run.

One controller and two node daemons on loopback, without systemd, control groups or an accounting
database. Debian's packages `slurm-wlm` and `munge` have all that it needs; only root can start it.
"""

import os
import re
import shutil
import signal
import socket
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

CONFIGURATION = Path("/etc/slurm/slurm.conf")
"""Not elsewhere: the executor's job step drops SLURM_CONF from the environment."""
MUNGE_KEY = Path("/etc/munge/munge.key")
MUNGE_SOCKET = Path("/run/munge")
BINARIES = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scontrol")
NAME = "fimtiers-throwaway"
NODES = ("node1", "node2")
FIRST_PORT = 17001
CPUS_PER_NODE = 4
MEMORY_PER_NODE = 8000  # MB, claimed whatever the machine has
START_SECONDS = 20.0

# Why the lines that are not obvious:
# OverMemoryKill and AcctGather: jobs over their memory are killed, without control groups.
# EnforcePartLimits: an impossible request fails at once and does not wait for ever.
# MinJobAge: finished jobs stay in the queue's memory, the only record without accounting.
# JobRequeue=0: a job whose node is lost fails, and is not silently started again.
# ReturnToService=2: a lost node whose daemon is back is used again without a word.
# config_overrides: a node may claim more processors and memory than this machine has.
TEMPLATE = """\
ClusterName={name}
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/run/slurmctld.pid
SlurmdPidFile={folder}/run/%n.pid
SlurmctldLogFile={folder}/log/slurmctld.log
SlurmdLogFile={folder}/log/%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=2
JobAcctGatherParams=OverMemoryKill
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=sched_interval=2,bf_interval=2,sched_min_interval=100000
EnforcePartLimits=ALL
ReturnToService=2
MinJobAge=3600
SlurmdTimeout=30
KillWait=2
JobRequeue=0
SlurmdParameters=config_overrides
NodeName=node[1-{count}] NodeHostname={host} NodeAddr=127.0.0.1 Port=[{first}-{last}] \
CPUs={cpus} RealMemory={memory} State=UNKNOWN
PartitionName=debug Nodes=ALL Default=YES MaxTime=60 State=UP
"""


@dataclass
class Cluster:
    """The daemons and their files, all under `folder`."""

    folder: Path
    daemons: dict[str, int] = field(default_factory=dict)

    def start(self) -> None:
        """Start the cluster and wait until all nodes are idle.

        Raises
        ------
        RuntimeError
            Saying what is missing, or which node did not come up.
        """
        _check_machine()
        for name in ("state", "spool", "log", "run"):
            (self.folder / name).mkdir(parents=True)
        self._start_munge()
        CONFIGURATION.write_text(_configuration(self.folder))
        _run("slurmctld")
        self._remember("slurmctld")
        for node in NODES:
            self.start_node(node)
        _wait(lambda: self.idle_nodes() == set(NODES), f"nodes {', '.join(NODES)} to be idle")

    def stop(self) -> None:
        """Stop all daemons that this cluster started and remove its configuration."""
        if CONFIGURATION.exists():
            subprocess.run(["scancel", "--user", "root"], check=False)
            _wait(lambda: not self.queue(), "cancelled jobs to end", fail=False)
        for pid in self.daemons.values():
            _kill(pid, signal.SIGTERM)
        _wait(lambda: not any(map(_alive, self.daemons.values())), "daemons to end", fail=False)
        for pid in self.daemons.values():
            _kill(pid, signal.SIGKILL)
        CONFIGURATION.unlink(missing_ok=True)

    def start_node(self, node: str) -> None:
        """Start the daemon of a node."""
        (self.folder / f"run/{node}.pid").unlink(missing_ok=True)
        _run("slurmd", "-N", node)
        self._remember(node)

    def crash_node(self, node: str) -> None:
        """Lose a node as in a power cut: its daemon and all its jobs' processes die.

        Those that supervise die first, or they would report that the others failed.
        """
        processes = self._job_processes(node)
        for pid in (self.daemons[node], *_supervisors(processes), *processes):
            _kill(pid, signal.SIGKILL)
        _run("scontrol", "update", f"NodeName={node}", "State=DOWN", "Reason=crash")

    def repair_node(self, node: str) -> None:
        """Start the daemon of a lost node again; the cluster takes it back into service."""
        self.start_node(node)
        _wait(lambda: node in self.idle_nodes(), f"{node} to be idle")

    def cancel(self, job: int) -> None:
        """Cancel a job."""
        _run("scancel", str(job))

    def queue(self, *states: str) -> dict[int, str]:
        """Jobs that have not finished, or are in `states`, with the node that each runs on."""
        chosen = ["--states", ",".join(states)] if states else []
        lines = _run("squeue", "--noheader", "--format", "%A %N", *chosen).splitlines()
        return {int(job): node for job, _, node in (line.partition(" ") for line in lines)}

    def history(self) -> dict[int, dict[str, str]]:
        """All that SLURM knows of every job that it remembers, by job id."""
        records = {}
        for record in _run("scontrol", "--oneliner", "show", "job").splitlines():
            fields = dict(part.split("=", 1) for part in record.split() if "=" in part)
            if "JobId" in fields:
                records[int(fields["JobId"])] = fields
        return records

    def idle_nodes(self) -> set[str]:
        """Names of the nodes that wait for work."""
        return set(_run("sinfo", "-h", "-N", "-t", "idle", "-o", "%N", check=False).split())

    def _start_munge(self) -> None:
        if not MUNGE_KEY.exists():
            MUNGE_KEY.write_bytes(os.urandom(1024))
            MUNGE_KEY.chmod(0o400)
            shutil.chown(MUNGE_KEY, "munge", "munge")
        if subprocess.run(["munge", "-n"], capture_output=True, check=False).returncode == 0:
            return
        MUNGE_SOCKET.mkdir(mode=0o755, exist_ok=True)
        shutil.chown(MUNGE_SOCKET, "munge", "munge")
        pid_file = MUNGE_SOCKET / "munged.pid"
        _run("runuser", "-u", "munge", "--", "munged", f"--pid-file={pid_file}")
        _wait(pid_file.exists, "munged to start")
        self.daemons["munged"] = int(pid_file.read_text())

    def _remember(self, daemon: str) -> None:
        pid_file = self.folder / "run" / f"{daemon}.pid"
        _wait(lambda: pid_file.exists() and pid_file.read_text().strip(), f"{daemon} to start")
        self.daemons[daemon] = int(pid_file.read_text())

    def _job_processes(self, node: str) -> list[int]:
        """Processes that carry the name of the node in their environment."""
        mark = f"SLURMD_NODENAME={node}\0".encode()
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                if mark in (entry / "environ").read_bytes():
                    found.append(int(entry.name))
            except OSError:
                continue  # it ended while we looked
        return found


def _check_machine() -> None:
    if os.geteuid() != 0:
        raise RuntimeError("the throw-away SLURM cluster can only be started by root")
    missing = [name for name in BINARIES if shutil.which(name, path=_path()) is None]
    if missing:
        raise RuntimeError(
            f"{', '.join(missing)} not found; on Debian and Ubuntu: apt install slurm-wlm munge"
        )
    if CONFIGURATION.exists() and NAME not in CONFIGURATION.read_text():
        raise RuntimeError(f"{CONFIGURATION} belongs to a real cluster; it is left as it is")


def _configuration(folder: Path) -> str:
    return TEMPLATE.format(
        name=NAME,
        host=socket.gethostname().split(".")[0],
        folder=folder,
        count=len(NODES),
        first=FIRST_PORT,
        last=FIRST_PORT + len(NODES) - 1,
        cpus=CPUS_PER_NODE,
        memory=MEMORY_PER_NODE,
    )


def _path() -> str:
    return f"{os.environ['PATH']}:/usr/sbin:/sbin"


def _run(*command: str, check: bool = True) -> str:
    done = subprocess.run(
        command, env={**os.environ, "PATH": _path()}, capture_output=True, text=True, check=False
    )
    if check and done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def _wait(condition, what: str, fail: bool = True) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            if fail:
                raise RuntimeError(f"waited {START_SECONDS:.0f} s in vain for {what}")
            return
        time.sleep(0.1)


def _kill(pid: int, what: signal.Signals) -> None:
    try:
        os.kill(pid, what)
    except ProcessLookupError:
        return


def _supervisors(processes: list[int]) -> set[int]:
    """SLURM's own parents of the processes of jobs."""
    found = set()
    for pid in processes:
        try:
            status = Path(f"/proc/{pid}/status").read_text()
            parent = int(re.search(r"^PPid:\s+(\d+)$", status, re.MULTILINE)[1])
            if Path(f"/proc/{parent}/comm").read_text().strip() == "slurmstepd":
                found.add(parent)
        except OSError:
            continue  # it ended while we looked
    return found


def _alive(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
    return "State:\tZ" not in status
