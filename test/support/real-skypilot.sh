#!/bin/bash
# A real SkyPilot API server with real launches, on one Debian machine and without any cloud, for the contract
# tests (npm run test:skypilot). What it installs comes from Debian and PyPI.
#
#   real-skypilot.sh [start]   install what is missing, start everything, print the endpoint URL (last line)
#   real-skypilot.sh status    what runs, what Slurm sees
#   real-skypilot.sh crash     SIGKILL the API server and its jobs controllers (Slurm and the tasks keep running)
#   real-skypilot.sh stop      stop everything that this script started (state under $SKYLAB_ROOT is kept)
#   real-skypilot.sh wipe      stop, then delete $SKYLAB_ROOT (the virtual environment excepted)
#
# How: SkyPilot's own "Slurm" cloud. slurmctld + slurmd + munge make a one-node Slurm cluster on loopback; an
# sshd on loopback is its login node. The node pretends to have 64 CPUs and 8 H100 (device files that are copies
# of /dev/null), so GPU requests schedule and CUDA_VISIBLE_DEVICES is set. SkyPilot's source is not patched.
# What stands in for the internet:
#   - a `curl` first on the node user's PATH answers https://astral.sh/uv/install.sh with uv from PyPI;
#   - that uv uses the system's python3 where SkyPilot asks for a downloaded CPython 3.10;
#   - two small CSV files stand for the accelerator catalogue that SkyPilot reads from GitHub;
#   - a SkyPilot server plugin (~/.sky/plugins.yaml, SkyPilot's own extension point) makes the managed-jobs
#     controller probe a loopback URL instead of https://8.8.8.8 and https://1.1.1.1 (else it never polls jobs),
#     and caps the number of jobs-controller processes.
# Needs root (munge, slurmd, a service user). Everything listens on loopback except slurmctld/slurmd, srun's
# ephemeral ports and SkyPilot's skylet (46590 and up), which bind all interfaces by their own design.
set -euo pipefail

ROOT=${SKYLAB_ROOT:-/var/lib/skylab}
VENV=${SKYLAB_VENV:-$ROOT/venv}
VERSION=${SKYLAB_SKYPILOT_VERSION:-0.14.1}
PORT=${SKYLAB_PORT:-46581}
SSH_PORT=${SKYLAB_SSH_PORT:-46522}
CTLD_PORT=${SKYLAB_SLURMCTLD_PORT:-16817}
SLURMD_PORT=${SKYLAB_SLURMD_PORT:-16818}
CPUS=${SKYLAB_CPUS:-64}
GPUS=${SKYLAB_GPUS:-8}
GPU_TYPE=${SKYLAB_GPU_TYPE:-H100}
CONTROLLERS=${SKYLAB_MAX_CONTROLLERS:-2}
NODE_USER=${SKYLAB_NODE_USER:-skynode}
URL=http://127.0.0.1:$PORT
LAB_HOME=$ROOT/home
NODE_HOME=$ROOT/nodehome
SL=$ROOT/slurm
HOST=$(hostname -s)
export SLURM_CONF=$SL/slurm.conf

# With the seconds since the start, so that a slow step shows.
say() { echo "[real-skypilot ${SECONDS}s] $*" >&2; }
# Whether program $1 runs as the pid file $2 says: after a restart of the machine that number may be another's.
runs() { local p; p=$(cat "$2" 2>/dev/null) && [[ $(readlink "/proc/$p/exe") = */"$1"* ]]; }

# --- processes of this lab's SkyPilot, found by working directory: executors overwrite their argv and environ
sky_pids() {
  local p c
  for p in /proc/[0-9]*; do
    [ "$(readlink "$p/cwd" 2>/dev/null || true)" = "$LAB_HOME" ] || continue
    c=$(tr '\0' ' ' 2>/dev/null < "$p/cmdline" || true)
    # shellcheck disable=SC2254
    case "$c" in $1) echo "${p#/proc/}" ;; esac
  done
}
kill_sky() { # $1: signal. Controllers first: a live jobs controller starts a new API server when it misses it.
  local pat p
  for pat in '*sky.jobs.controller*' '*sky.server.server*' '*multiprocessing.*' 'SkyPilot:*'; do
    for p in $(sky_pids "$pat"); do kill "-$1" "$p" 2>/dev/null || true; done
  done
}

install_all() {
  local need=()
  for c in slurmctld:slurm-wlm munged:munge sshd:openssh-server rsync:rsync curl:curl python3:python3; do
    PATH=$PATH:/usr/sbin:/sbin command -v "${c%%:*}" >/dev/null || need+=("${c##*:}")
  done
  [ -e /usr/lib/x86_64-linux-gnu/slurm-wlm/gres_gpu.so ] || ls /usr/lib/*/slurm-wlm/gres_gpu.so >/dev/null 2>&1 || need+=(slurm-wlm-basic-plugins)
  /usr/bin/python3 -c 'import ensurepip, venv' 2>/dev/null || need+=(python3-venv)
  if [ ${#need[@]} -gt 0 ]; then
    say "apt: ${need[*]}"
    # The packages' own services must not start: this script runs its own instances.
    local deny=
    [ -e /usr/sbin/policy-rc.d ] || { deny=1; printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d; chmod 755 /usr/sbin/policy-rc.d; }
    DEBIAN_FRONTEND=noninteractive apt-get update -q >/dev/null
    DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${need[@]}" > "$ROOT/apt.log" 2>&1 || { tail -5 "$ROOT/apt.log" >&2; exit 1; }
    [ -z "$deny" ] || rm -f /usr/sbin/policy-rc.d
  fi
  if ! "$VENV/bin/python" -c "import sky,sys; sys.exit(sky.__version__ != '$VERSION')" 2>/dev/null; then
    say "pip: skypilot[slurm]==$VERSION into $VENV (1-2 minutes)"
    [ -x "$VENV/bin/python" ] || /usr/bin/python3 -m venv "$VENV"
    "$VENV/bin/python" -m pip install -q "skypilot[slurm]==$VERSION" > "$ROOT/pip.log" 2>&1 || { tail -5 "$ROOT/pip.log" >&2; exit 1; }
  fi
  if [ ! -x "$ROOT/uvpkg/bin/uv" ]; then
    say "pip: uv"
    "$VENV/bin/python" -m pip install -q --upgrade --target "$ROOT/uvpkg" uv > "$ROOT/pip-uv.log" 2>&1
  fi
  chmod -R a+rX "$ROOT/uvpkg"
}

configure() {
  id "$NODE_USER" >/dev/null 2>&1 || useradd -r -M -d "$NODE_HOME" -s /bin/bash "$NODE_USER"
  [ "$(getent passwd "$NODE_USER" | cut -d: -f6)" = "$NODE_HOME" ] || usermod -d "$NODE_HOME" "$NODE_USER"
  usermod -p '*' "$NODE_USER"    # '!' (locked) would make sshd refuse even keys
  mkdir -p "$LAB_HOME/.slurm" "$LAB_HOME/.sky/catalogs/v8/common" "$NODE_HOME/.ssh" "$ROOT/nodebin" \
           "$SL/state" "$SL/spool" "$SL/log" "$SL/ssh" /run/munge /var/log/munge /var/lib/munge /run/sshd
  chmod 755 "$ROOT" "$SL" "$SL/log" "$SL/state" "$SL/spool"

  # node side: curl and uv stand-ins
  cat > "$ROOT/nodebin/curl" <<'E'
#!/bin/sh
for a in "$@"; do
  if [ "$a" = "https://astral.sh/uv/install.sh" ]; then cat "$(dirname "$0")/../uv-install.sh"; exit 0; fi
done
exec /usr/bin/curl "$@"
E
  cat > "$ROOT/uv-install.sh" <<E
mkdir -p "\$UV_INSTALL_DIR" && cp $ROOT/uv-wrapper "\$UV_INSTALL_DIR/uv" && chmod 755 "\$UV_INSTALL_DIR/uv"
E
  cat > "$ROOT/uv-wrapper" <<E
#!/bin/bash
export UV_PYTHON_DOWNLOADS=never UV_PYTHON_PREFERENCE=only-system UV_LINK_MODE=hardlink
export SSL_CERT_FILE=\${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}
args=(); prev=
for a in "\$@"; do
  if [ "\$prev" = "--python" ] && [ "\$a" = "3.10" ]; then a=/usr/bin/python3; fi
  args+=("\$a"); prev="\$a"
done
exec $ROOT/uvpkg/bin/uv "\${args[@]}"
E
  chmod 755 "$ROOT/nodebin/curl" "$ROOT/uv-wrapper" "$ROOT/uv-install.sh"
  # commands on the login node run in a login shell: this is where PATH is set
  echo "export PATH=$ROOT/nodebin:\$PATH SLURM_CONF=$SLURM_CONF" > "$NODE_HOME/.bash_profile"

  [ -f "$SL/ssh/host_ed25519" ] || ssh-keygen -q -t ed25519 -N '' -f "$SL/ssh/host_ed25519"
  [ -f "$SL/ssh/id_ed25519" ] || ssh-keygen -q -t ed25519 -N '' -f "$SL/ssh/id_ed25519"
  cp "$SL/ssh/id_ed25519.pub" "$NODE_HOME/.ssh/authorized_keys"
  # Not all that is in it: a job that is being set up changes it meanwhile.
  chown "$NODE_USER:" "$NODE_HOME" "$NODE_HOME"/{.bash_profile,.ssh,.ssh/authorized_keys}; chmod 700 "$NODE_HOME/.ssh"; chmod 600 "$NODE_HOME/.ssh/authorized_keys"
  cat > "$SL/sshd_config" <<E
Port $SSH_PORT
ListenAddress 127.0.0.1
HostKey $SL/ssh/host_ed25519
PidFile $SL/sshd.pid
PermitRootLogin no
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
AllowUsers $NODE_USER
StrictModes no
MaxSessions 500
MaxStartups 500:30:1000
PrintMotd no
PrintLastLog no
UseDNS no
SetEnv PATH=$ROOT/nodebin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin SLURM_CONF=$SLURM_CONF
E

  # Slurm
  local gres='' gtypes='' i
  if [ "$GPUS" -gt 0 ] && [ ! -e "$SL/gpu0" ] && ! mknod -m 666 "$SL/gpu0" c 1 3; then
    say "no device files can be made here, so no GPUs are pretended"
    GPUS=0
  fi
  if [ "$GPUS" -gt 0 ]; then
    for ((i = 0; i < GPUS; i++)); do [ -e "$SL/gpu$i" ] || mknod -m 666 "$SL/gpu$i" c 1 3; done
    echo "NodeName=$HOST Name=gpu Type=$GPU_TYPE File=$SL/gpu[0-$((GPUS - 1))]" > "$SL/gres.conf"
    gtypes='GresTypes=gpu'; gres="Gres=gpu:$GPU_TYPE:$GPUS"
  fi
  cat > "$SL/slurm.conf.new" <<E
ClusterName=skylab
SlurmctldHost=$HOST(127.0.0.1)
SlurmctldPort=$CTLD_PORT
SlurmdPort=$SLURMD_PORT
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
ReturnToService=2
SlurmctldPidFile=$SL/slurmctld.pid
SlurmdPidFile=$SL/slurmd.pid
StateSaveLocation=$SL/state
SlurmdSpoolDir=$SL/spool
SlurmctldLogFile=$SL/log/slurmctld.log
SlurmdLogFile=$SL/log/slurmd.log
SlurmdParameters=config_overrides
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_interval=1,bf_interval=5
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
JobCompType=jobcomp/none
InactiveLimit=0
KillWait=5
MinJobAge=7200
$gtypes
NodeName=$HOST NodeAddr=127.0.0.1 CPUs=$CPUS RealMemory=131072 $gres State=UNKNOWN
PartitionName=main Nodes=$HOST Default=YES MaxTime=7-00:00:00 State=UP
E
  mv "$SL/slurm.conf.new" "$SL/slurm.conf"

  # SkyPilot server side
  cat > "$LAB_HOME/.slurm/config" <<E
Host skylab
    HostName 127.0.0.1
    Port $SSH_PORT
    User $NODE_USER
    IdentityFile $SL/ssh/id_ed25519
    IdentitiesOnly yes
E
  [ -e "$LAB_HOME/.sky/config.yaml" ] || cat > "$LAB_HOME/.sky/config.yaml" <<E
allowed_clouds:
  - slurm
jobs:
  controller:
    consolidation_mode: true
E
  { echo 'AcceleratorName,Clouds'; for i in H100 H200 A100 A100-80GB B200 L4 L40S T4 V100 "$GPU_TYPE"; do echo "$i,\"['Slurm']\""; done | sort -u; } > "$LAB_HOME/.sky/catalogs/v8/common/accelerators.csv"
  printf 'GPU,MemoryGB,Manufacturer\nH100,80,NVIDIA\nH200,141,NVIDIA\nA100,40,NVIDIA\n' > "$LAB_HOME/.sky/catalogs/v8/common/metadata.csv"
  printf 'plugins:\n  - class: skylab_plugin.SkylabPlugin\n' > "$LAB_HOME/.sky/plugins.yaml"
  local site; site=$("$VENV/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
  cat > "$site/skylab_plugin.py" <<'E'
"""SkyPilot API-server plugin for machines without internet (named in ~/.sky/plugins.yaml)."""
import os

from sky.server import plugins


class SkylabPlugin(plugins.BasePlugin):

    def install(self, extension_context):
        del extension_context
        from sky.backends import backend_utils
        from sky.utils import controller_utils
        url = os.environ.get('SKYLAB_NETWORK_PROBE_URL')
        if url:
            backend_utils._TEST_IP_LIST[:] = [url]
        n = os.environ.get('SKYLAB_MAX_CONTROLLERS')
        if n:
            controller_utils.MAX_CONTROLLERS = int(n)
E
  cat > "$ROOT/env.sh" <<E
# environment of the API server, and of a sky CLI that talks to it: source this
export HOME=$LAB_HOME
export PATH=$VENV/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export SKYPILOT_DISABLE_USAGE_COLLECTION=1
export SKYPILOT_API_SERVER_LOCAL_PORT=$PORT
export SKYPILOT_API_SERVER_ENDPOINT=$URL
export ENABLE_SERVICE_ACCOUNTS=true
export SKYLAB_NETWORK_PROBE_URL=$URL/api/health
export SKYLAB_MAX_CONTROLLERS=$CONTROLLERS
export SLURM_CONF=$SLURM_CONF
E
}

start_slurm() {
  if ! munge -n >/dev/null 2>&1; then
    chown -R munge:munge /run/munge /var/log/munge /var/lib/munge /etc/munge
    chmod 755 /run/munge; chmod 700 /etc/munge /var/log/munge; chmod 711 /var/lib/munge
    runuser -u munge -- /usr/sbin/munged --pid-file=/run/munge/munged.pid
    touch "$ROOT/started-munged"
    for _ in $(seq 50); do munge -n >/dev/null 2>&1 && break; sleep 0.1; done
  fi
  runs slurmctld "$SL/slurmctld.pid" || slurmctld -f "$SLURM_CONF"
  runs slurmd "$SL/slurmd.pid" || slurmd -f "$SLURM_CONF"
  runs sshd "$SL/sshd.pid" || /usr/sbin/sshd -f "$SL/sshd_config" -E "$SL/log/sshd.log"
  for _ in $(seq 100); do node_is_up && return; sleep 0.2; done
  scontrol update nodename="$HOST" state=resume 2>/dev/null || true
  node_is_up || { sinfo >&2 || true; say "the Slurm node is not up; see $SL/log"; exit 1; }
}

# Asked over ssh, for that is SkyPilot's only way; without it, SkyPilot says that no cloud is set up.
node_is_up() {
  ssh -F "$LAB_HOME/.slurm/config" -o BatchMode=yes -o ConnectTimeout=5 -o StrictHostKeyChecking=no \
    -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR skylab sinfo -h -o %t 2>/dev/null | grep -E 'idle|mix|alloc' >/dev/null
}

healthy() { curl -sf -m 3 "$URL/api/health" 2>/dev/null | grep -q '"healthy"'; }

start_api() {
  if healthy && [ -n "$(sky_pids '*sky.server.server*')" ]; then return; fi
  kill_sky KILL; sleep 0.5
  ( # shellcheck disable=SC1091
    . "$ROOT/env.sh"; cd "$LAB_HOME"
    exec setsid nohup python -m sky.server.server --host 127.0.0.1 --port "$PORT" ) >> "$ROOT/server.log" 2>&1 < /dev/null &
  echo $! > "$ROOT/server.pid"
  for _ in $(seq 600); do healthy && return; sleep 0.2; done
  say "the API server did not come up; see $ROOT/server.log"; tail -5 "$ROOT/server.log" >&2; exit 1
}

do_start() {
  [ "$(id -u)" = 0 ] || { say "needs root"; exit 1; }
  mkdir -p "$ROOT"
  install_all; configure; start_slurm; start_api
  say "SkyPilot $VERSION, Slurm node $HOST ($CPUS CPUs, $GPUS x $GPU_TYPE, pretended). CLI: . $ROOT/env.sh && sky status"
  echo "$URL"
}

do_stop() {
  local p
  if sinfo >/dev/null 2>&1; then scancel -u "$NODE_USER" 2>/dev/null || true; fi
  # SIGTERM is only useful while requests are to be drained; here everything is going away
  kill_sky KILL
  sleep 2
  if runs sshd "$SL/sshd.pid"; then
    for p in $(ps -o pid= --ppid "$(cat "$SL/sshd.pid")" 2>/dev/null); do kill "$p" 2>/dev/null || true; done
  fi
  for f in sshd slurmd slurmctld; do
    if runs "$f" "$SL/$f.pid"; then
      p=$(cat "$SL/$f.pid"); kill "$p" 2>/dev/null || true
      for _ in $(seq 50); do kill -0 "$p" 2>/dev/null || break; sleep 0.2; done
      kill -KILL "$p" 2>/dev/null || true
    fi
    rm -f "$SL/$f.pid"
  done
  # leftovers of tasks (SkyPilot's subprocess watchdogs outlive a cancelled allocation); the user is this lab's own
  for p in $(ps -o pid= -u "$NODE_USER" 2>/dev/null); do kill -KILL "$p" 2>/dev/null || true; done
  if [ -e "$ROOT/started-munged" ]; then
    runs munged /run/munge/munged.pid && kill "$(cat /run/munge/munged.pid)"
    rm -f "$ROOT/started-munged"
  fi
  say stopped
}

do_status() {
  healthy && echo "api: healthy at $URL" || echo "api: down"
  sinfo 2>/dev/null || echo "slurm: down"; squeue 2>/dev/null || true
  local p; for p in $(sky_pids '*sky.server.server*') $(sky_pids '*sky.jobs.controller*') $(sky_pids 'SkyPilot:*'); do ps -o pid=,rss=,args= -p "$p" | cut -c1-110; done
}

case "${1:-start}" in
  start) do_start ;;
  status) do_status ;;
  crash) kill_sky KILL; say "API server and controllers killed; '$0 start' brings them back" ;;
  stop) do_stop ;;
  wipe) do_stop; find "$ROOT" -mindepth 1 -maxdepth 1 ! -path "$VENV" -exec rm -rf {} +; say wiped ;;
  *) sed -n '2,12p' "$0" >&2; exit 2 ;;
esac
