#!/usr/bin/env bash
# Run a command on a machine with a real SLURM, for the tests beside this file:
#
#   bash tests/cluster/slurm.sh sinfo      two virtual nodes, two fake GPUs each, no accounting
#   bash tests/cluster/slurm.sh bash       to look around
#
# The machine is this one, Debian, as root; but the command has processes, a network and an
# /etc/slurm of its own, so that several run side by side, nobody outside reaches them, and
# nothing is left of them once the command has ended.
set -euo pipefail
export LC_ALL=C DEBIAN_FRONTEND=noninteractive PATH=$PATH:/usr/sbin:/sbin
NODES=2 GPUS=2

(( $# )) || { echo "usage: slurm.sh COMMAND..." >&2; exit 2; }

install_packages() {
    type slurmctld slurmd sbatch munged ip >/dev/null 2>&1 && return   # true of all of them
    apt-get update -qq
    apt-get install -qq --yes --no-install-recommends slurmctld slurmd slurm-client munge iproute2
}

if [[ -z ${HOME_OF_SLURM:-} ]]; then
    HOME_OF_SLURM=$(mktemp --directory /tmp/randommask-slurm.XXXXXX)
    export HOME_OF_SLURM
    trap 'rm -rf "$HOME_OF_SLURM"' EXIT
    # several that begin together wait for the first
    flock "$0" bash -c "$(declare -f install_packages); install_packages" \
        >"$HOME_OF_SLURM/apt.log" 2>&1 || { tail "$HOME_OF_SLURM/apt.log" >&2; exit 1; }
    unshare --mount --net --pid --fork --kill-child --mount-proc bash "$0" "$@"
    exit
fi

wait_for() {
    local end=$((SECONDS + 60))
    while (( SECONDS < end )); do "$@" >/dev/null 2>&1 && return; sleep 0.2; done
    echo "slurm.sh: waited a minute in vain for: $*" >&2
    tail -n 3 "$HOME_OF_SLURM"/*.log >&2
    return 1
}
answers() { scontrol ping | grep -q UP; }
idle() { [[ $(sinfo --noheader --Node --partition main --format %T | grep -c '^idle$') == "$NODES" ]]; }
authenticates() { munge --no-input | unmunge; }

# A network of this machine's name alone, and empty folders where SLURM and munge look.
ip link set lo up
ip address add 192.0.2.1/32 dev lo   # SLURM does not start where loopback is all there is
echo "127.0.0.1 localhost $(hostname)" >"$HOME_OF_SLURM/hosts"
mount --bind "$HOME_OF_SLURM/hosts" /etc/hosts
mkdir -p /etc/slurm /etc/munge /run/munge
for folder in /etc/slurm /etc/munge /run/munge; do mount -t tmpfs -o mode=0755 own "$folder"; done
chown munge:munge /etc/munge /run/munge

for node in $(seq $NODES); do
    for gpu in $(seq 0 $((GPUS - 1))); do
        device=$HOME_OF_SLURM/n$node-gpu$gpu   # nothing but a device file, as SLURM asks
        mknod "$device" c 1 3
        echo "NodeName=n$node Name=gpu Type=fake File=$device" >>/etc/slurm/gres.conf
    done
done
host=$(hostname -s)
cat >/etc/slurm/slurm.conf <<END
ClusterName=tests
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
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
NodeName=n[1-$NODES] NodeHostname=$host NodeAddr=127.0.0.1 Port=[6901-$((6900 + NODES))] CPUs=$(nproc) RealMemory=16000 Features=fast Gres=gpu:fake:$GPUS
PartitionName=main Nodes=ALL Default=YES DefMemPerCPU=500 PriorityTier=10
PartitionName=spot Nodes=ALL DefMemPerCPU=500 PriorityTier=1
END

runuser -u munge -- mungekey --create
runuser -u munge -- munged
wait_for authenticates
mkdir "$HOME_OF_SLURM/state"
slurmctld
wait_for answers
for node in $(seq $NODES); do
    mkdir "$HOME_OF_SLURM/spool.n$node"
    slurmd -N "n$node"
done
wait_for idle
"$@"
