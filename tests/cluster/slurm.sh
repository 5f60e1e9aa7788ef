#!/usr/bin/env bash
# A real SLURM on one Debian machine, for the tests beside this file:
#
#   bash tests/cluster/slurm.sh up      two virtual nodes, two fake GPUs each, no accounting
#   bash tests/cluster/slurm.sh down    stop it and delete its files
#
# Needs root. Installs Debian's packages where they are missing; listens on loopback only.
set -euo pipefail
export LC_ALL=C DEBIAN_FRONTEND=noninteractive PATH=$PATH:/usr/sbin:/sbin

HOME_OF_SLURM=${HOME_OF_SLURM:-/tmp/randommask-slurm}
NODES=2 GPUS=2
CONF=$HOME_OF_SLURM/slurm.conf

wait_for() {
    for _ in $(seq 150); do "$@" >/dev/null 2>&1 && return; sleep 0.2; done
    echo "slurm.sh: waited 30 s in vain for: $*" >&2
    return 1
}
answers() { scontrol ping | grep -q UP; }
idle() { [[ $(sinfo --noheader --Node --partition main --format %T | grep -c '^idle$') == "$NODES" ]]; }
authenticates() { munge --no-input | unmunge; }

install_packages() {
    command -v slurmctld slurmd sbatch munged >/dev/null && return
    apt-get update -qq
    apt-get install -qq --yes --no-install-recommends \
        slurmctld slurmd slurm-client munge >"$HOME_OF_SLURM/apt.log" 2>&1 ||
        { tail "$HOME_OF_SLURM/apt.log" >&2; return 1; }
}

start_munge() {
    authenticates >/dev/null 2>&1 && return
    install -d -o munge -g munge -m 0755 /run/munge
    [[ -s /etc/munge/munge.key ]] || runuser -u munge -- mungekey --create
    runuser -u munge -- munged
    touch "$HOME_OF_SLURM/munge-is-ours"
    wait_for authenticates
}

configure() {
    : >"$HOME_OF_SLURM/gres.conf"
    for node in $(seq $NODES); do
        for gpu in $(seq 0 $((GPUS - 1))); do
            device=$HOME_OF_SLURM/n$node-gpu$gpu   # nothing but a device file, as SLURM asks
            [[ -e $device ]] || mknod "$device" c 1 3
            echo "NodeName=n$node Name=gpu Type=fake File=$device" >>"$HOME_OF_SLURM/gres.conf"
        done
    done
    local host cpus
    host=$(hostname -s) cpus=$(nproc)
    cat >"$CONF" <<END
ClusterName=tests
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=16817
SlurmUser=root
AuthType=auth/munge
# not on every address of the machine, as SLURM would by itself
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
StateSaveLocation=$HOME_OF_SLURM/state
SlurmdSpoolDir=$HOME_OF_SLURM/spool.%n
SlurmctldPidFile=$HOME_OF_SLURM/slurmctld.pid
SlurmdPidFile=$HOME_OF_SLURM/slurmd.%n.pid
SlurmctldLogFile=$HOME_OF_SLURM/slurmctld.log
SlurmdLogFile=$HOME_OF_SLURM/slurmd.%n.log
# no cgroups in a container
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
# each node claims all processors of the machine
SlurmdParameters=config_overrides
ReturnToService=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
GresTypes=gpu
# quick to schedule, to kill, to see that a node is gone
SchedulerParameters=batch_sched_delay=0,bf_interval=2,sched_interval=2,sched_min_interval=0
KillWait=5
MinJobAge=600
SlurmdTimeout=15
# a job in spot makes room for one in main, and is queued again
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
JobRequeue=1
NodeName=n[1-$NODES] NodeHostname=$host NodeAddr=127.0.0.1 Port=[16901-$((16900 + NODES))] CPUs=$cpus RealMemory=16000 Features=fast Gres=gpu:fake:$GPUS
PartitionName=main Nodes=ALL Default=YES DefMemPerCPU=500 PriorityTier=10
PartitionName=spot Nodes=ALL DefMemPerCPU=500 PriorityTier=1
END
    # SLURM's own place: what runs inside a job is not told of SLURM_CONF
    mkdir -p /etc/slurm "$HOME_OF_SLURM/state"
    for file in slurm.conf gres.conf; do
        if [[ -e /etc/slurm/$file && ! -L /etc/slurm/$file ]]; then
            echo "slurm.sh: /etc/slurm/$file exists: this machine has a SLURM of its own" >&2
            return 1
        fi
        ln -sfn "$HOME_OF_SLURM/$file" "/etc/slurm/$file"
    done
}

node_up() {
    mkdir -p "$HOME_OF_SLURM/spool.$1"
    slurmd -N "$1"
}

up() {
    mkdir -p "$HOME_OF_SLURM"
    install_packages
    [[ -e $CONF ]] && answers 2>/dev/null && idle && return
    start_munge
    configure
    slurmctld
    wait_for answers
    for node in $(seq $NODES); do node_up "n$node"; done
    wait_for idle
}

# the processes that listen on the ports of the configuration: addresses, and their pids
listening() { ss --listening --tcp --numeric --processes --no-header "( sport = :16817 or sport >= :16901 and sport <= :169$((NODES + 10)) )"; }
gone() { ! kill -0 "$1" 2>/dev/null; }

down() {
    [[ -d $HOME_OF_SLURM ]] || return 0
    [[ -e $CONF ]] && answers 2>/dev/null && scancel --user "$(id -un)" || true
    local pids=()
    for file in "$HOME_OF_SLURM"/*.pid; do
        [[ -s $file ]] && pids+=("$(cat "$file")")
    done
    [[ -e $HOME_OF_SLURM/munge-is-ours && -s /run/munge/munged.pid ]] && pids+=("$(cat /run/munge/munged.pid)")
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
    for pid in "${pids[@]}"; do wait_for gone "$pid" || kill -KILL "$pid" 2>/dev/null || true; done
    for file in slurm.conf gres.conf; do
        [[ $(readlink "/etc/slurm/$file") == "$HOME_OF_SLURM/$file" ]] && rm "/etc/slurm/$file"
    done
    rm -rf "$HOME_OF_SLURM"
}

case ${1:-} in
    up | down | listening) "$1" ;;
    node-up) node_up "$2" ;;
    *) echo "usage: slurm.sh up | down" >&2; exit 2 ;;
esac
