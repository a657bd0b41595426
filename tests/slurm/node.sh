#!/usr/bin/env bash
# A SLURM of one node on this machine, without systemd, for the tests: munged, slurmctld and slurmd
# with all their files in one folder. Needs Debian's slurmctld, slurmd, slurm-client and munge.
#
#   node.sh start FOLDER    starts it and waits until the node is idle
#   node.sh stop FOLDER     ends what 'start' started, by process id
#
# Then say 'export SLURM_CONF=FOLDER/slurm.conf'. The node claims four cores and two GPUs,
# there or not, which is enough to see how work is placed on them.
set -euo pipefail
PATH=$PATH:/usr/sbin:/sbin
command=$1 folder=$(realpath "$2") port=${3:-17817}
export SLURM_CONF=$folder/slurm.conf

stop() {
  for name in slurmd slurmctld munged; do
    pid=$(cat "$folder/$name.pid" 2>/dev/null || true)
    if [ -n "$pid" ] && kill "$pid" 2>/dev/null; then
      for _ in $(seq 50); do kill -0 "$pid" 2>/dev/null || break; sleep 0.1; done
      kill -9 "$pid" 2>/dev/null || true
    fi
  done
}

start() {
  rm -rf "$folder"/{state,spool,munge}
  mkdir -p "$folder"/{state,spool,munge}
  chmod 700 "$folder/munge"
  host=$(hostname -s)
  (umask 077; head -c 1024 /dev/urandom > "$folder/munge/key")
  cat > "$SLURM_CONF" <<CONF
ClusterName=test
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$port
SlurmdPort=$((port + 1))
AuthType=auth/munge
AuthInfo=socket=$folder/munge/socket
CredType=cred/munge
SlurmUser=$(id -un)
SlurmdUser=$(id -un)
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
MpiDefault=none
ReturnToService=2
KillWait=2
SchedulerParameters=batch_sched_delay=1,sched_min_interval=500000
GresTypes=gpu
SlurmdParameters=config_overrides
NodeName=$host NodeAddr=127.0.0.1 CPUs=4 Gres=gpu:2 State=UNKNOWN
PartitionName=main Nodes=$host Default=YES MaxTime=INFINITE State=UP
CONF
  printf "Name=gpu File=%s\n" /dev/null /dev/zero > "$folder/gres.conf"
  munged --force --key-file="$folder/munge/key" --socket="$folder/munge/socket" \
    --pid-file="$folder/munged.pid" --log-file="$folder/munged.log" --seed-file="$folder/munge/seed"
  slurmctld -i
  slurmd -N "$host" 2>/dev/null || slurmd
  for _ in $(seq 100); do
    [ "$(sinfo --noheader --format=%t 2>/dev/null)" = idle ] && return
    sleep 0.2
  done
  echo "no idle node after 20 s; the end of the logs:" >&2
  tail -n 5 "$folder"/*.log >&2
  stop
  exit 1
}

case $command in
  start | stop) "$command" ;;
  *) echo "node.sh: '$command'; allowed are start, stop" >&2; exit 2 ;;
esac
