#!/usr/bin/env bash
# Plays a cluster of three hosts on one machine: network namespaces with addresses of their own, as root.
#
#   docs/deploy/three-hosts.sh BIN_DIR [PROGRAM [ARGUMENTS…]]
#
# BIN_DIR holds `ray`; PROGRAM is run across the hosts, once as a driver and once as a submitted job. Then a
# node is killed. All that was started ends with the script.
set -euo pipefail

bin=${1:?the folder of the ray command}
shift
export PATH="$bin:$PATH"
work=$(mktemp -d)
hosts=(head left right)
pids=()

end() {
    for pid in "${pids[@]}"; do kill "$pid" 2> /dev/null || true; done
    wait
    for host in "${hosts[@]}"; do ip netns del "ray-$host" 2> /dev/null || true; done
    ip link del ray-switch 2> /dev/null || true
    rm -rf "$work"
}
trap end EXIT

ip link add ray-switch type bridge
ip link set ray-switch up
for at in "${!hosts[@]}"; do
    host=${hosts[$at]}
    ip netns add "ray-$host"
    ip link add "ray-$host" type veth peer name eth0 netns "ray-$host"
    ip link set "ray-$host" master ray-switch up
    ip -n "ray-$host" addr add "10.77.0.$((at + 1))/24" dev eth0
    ip -n "ray-$host" link set eth0 up
    ip -n "ray-$host" link set lo up
done
on() { ip netns exec "ray-$1" "${@:2}"; }
# In the background, under the process id that is told.
start_on() { exec ip netns exec "ray-$1" "${@:2}"; }
title() { printf '\n== %s\n' "$*"; }

# A host has a folder of its own for temporary files, as another machine would.
for host in "${hosts[@]}"; do mkdir "$work/$host"; done
title "the head, on 10.77.0.1"
TMPDIR=$work/head start_on head ray start --head --bind 10.77.0.1 --num-cpus 1 > "$work/head.log" 2>&1 &
pids+=($!)
for _ in $(seq 100); do
    TMPDIR=$work/head on head ray status > /dev/null 2>&1 && break
    sleep 0.1
done
token() { TMPDIR=$work/head on head ray token create --role "$1" --ttl 10m "${@:2}"; }
nodes=$(token node --uses 2)
for host in left right; do
    RAY_TOKEN=$nodes TMPDIR=$work/$host start_on "$host" ray start --address 10.77.0.1:6379 --name "$host" \
        --num-cpus 2 --resources "$host=1" > "$work/$host.log" 2>&1 &
    pids+=($!)
done
for _ in $(seq 100); do
    [ "$(TMPDIR=$work/head on head ray list nodes --format json | grep -c ALIVE)" = 3 ] && break
    sleep 0.1
done
TMPDIR=$work/head on head ray status

title "who may not join"
env -u RAY_TOKEN ip netns exec ray-right ray start --address 10.77.0.1:6379 || true
RAY_TOKEN=ray1-wrong on right ray start --address 10.77.0.1:6379 || true
RAY_TOKEN=$nodes on right ray start --address 10.77.0.1:6379 || true

if [ $# -gt 0 ]; then
    title "$* as a driver, on 10.77.0.3"
    RAY_ADDRESS=10.77.0.1:6379 RAY_TOKEN=$(token driver) TMPDIR=$work/right on right "$@"
    title "$* as a job, submitted on 10.77.0.2"
    RAY_ADDRESS=10.77.0.1:6379 RAY_TOKEN=$(token driver) TMPDIR=$work/left on left ray job submit --name trial -- "$@"
    TMPDIR=$work/head on head ray list jobs
    TMPDIR=$work/head on head ray summary actors
fi

title "kill -9 of the node on 10.77.0.3"
kill -9 "${pids[2]}"
for _ in $(seq 100); do
    TMPDIR=$work/head on head ray list nodes --format json | grep -q DEAD && break
    sleep 0.1
done
TMPDIR=$work/head on head ray status
TMPDIR=$work/head on head ray list nodes

title "the end"
TMPDIR=$work/head on head ray stop
