#!/bin/bash
# Runs a program on a cluster that lives as long as the program: start this on every machine at once.
#
#   symmetric-run.sh FOLDER PROGRAM [ARGUMENT...]
#
# FOLDER is shared by the machines (a file system that all of them see) and private to you. Machine 0 is the head,
# starts the program when all are there, and ends the cluster with it; the others are nodes until then. Which machine
# this is and how many there are comes from Slurm (SLURM_PROCID, SLURM_NTASKS) or from RANK and WORLD_SIZE.
# RAY_START_ARGS is given to each `ray start`, for example "--num-gpus 4".
set -euo pipefail

folder=${1:?a folder that all machines see}
shift
rank=${SLURM_PROCID:-${RANK:?which machine this is}}
count=${SLURM_NTASKS:-${WORLD_SIZE:?how many machines there are}}
patience=${RAY_PATIENCE_S:-300}
# Each machine's own notes and logs; /tmp is the machine's own.
run_dir=$(mktemp -d "${TMPDIR:-/tmp}/ray-symmetric-XXXXXX")
export XDG_RUNTIME_DIR=$run_dir
umask 077

wait_for() { # seconds, command...
    local left=$1
    shift
    until "$@"; do
        ((left-- > 0)) || return 1
        sleep 1
    done
}

if ((rank != 0)); then
    wait_for "$patience" test -s "$folder/join" || { echo "no head came within $patience s" >&2; exit 1; }
    read -r address token < "$folder/join"
    # shellcheck disable=SC2086
    RAY_TOKEN=$token exec ray start --address "$address" --run-dir "$run_dir" --reconnect-within 5s ${RAY_START_ARGS:-}
fi

bind=${RAY_BIND:-$(hostname -I | cut -d' ' -f1)}
# shellcheck disable=SC2086
ray start --head --bind "$bind" --port "${RAY_PORT:-6379}" --run-dir "$run_dir" --daemon ${RAY_START_ARGS:-}
trap 'rm -f "$folder/join"; ray stop || true' EXIT
if ((count > 1)); then
    token=$(ray token create --role node --uses $((count - 1)) --ttl 1h 2>/dev/null)
    echo "$bind:${RAY_PORT:-6379} $token" > "$folder/join.new"
    mv "$folder/join.new" "$folder/join"
fi
are_there() { (($(ray list nodes --filter state=ALIVE --format json | wc -l) >= count)); }
wait_for "$patience" are_there || { echo "not all of $count machines came within $patience s" >&2; exit 1; }

status=0
RAY_ADDRESS="$bind:${RAY_PORT:-6379}" RAY_TOKEN=$(ray token create --role driver 2>/dev/null) "$@" || status=$?
exit "$status"
