#!/usr/bin/env bash
#SBATCH --job-name=archfront
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=1
#SBATCH --exclusive
#SBATCH --time=24:00:00
#
# A Ray cluster for the time of one command, on the nodes of a SLURM allocation, from a folder that all of them see:
#
#     sbatch clusters/slurm.sh run studies/search-1m.yaml --directory ~/archfront/search-1m
#
# The first node runs the driver and Ray's head, the last one takes the latencies and trains nothing, those between train. Any verb with
# --address may stand in place of run. Submit again and the study goes on. The cluster's token is made once: (umask 077; ray get-auth-token --generate)
set -euo pipefail

export RAY_AUTH_MODE=token RAY_USAGE_STATS_ENABLED=0 RAY_worker_niceness=0
port=${RAY_PORT:-6379}
mapfile -t nodes < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
if [ "${#nodes[@]}" -lt 3 ]; then
    echo "archfront: a cluster needs at least 3 nodes (a head, one that trains, one that takes latencies), found ${#nodes[@]}; raise --nodes" >&2
    exit 2
fi
if [ ! -s "${RAY_AUTH_TOKEN_PATH:-$HOME/.ray/auth_token}" ]; then
    echo "archfront: the cluster's token must be in ${RAY_AUTH_TOKEN_PATH:-$HOME/.ray/auth_token}, found none; run: (umask 077; ray get-auth-token --generate)" >&2
    exit 2
fi
head=$(hostname -I | tr ' ' '\n' | grep -E '^[0-9]+(\.[0-9]+){3}$' | grep -v '^127\.' | head -n 1) || true
if [ -z "$head" ]; then
    echo "archfront: the first node needs an IPv4 address that the others reach, found none but the loopback in hostname -I; give it one" >&2
    exit 2
fi
started=()
end() { kill "${started[@]}" 2>/dev/null || true; wait; }
trap end EXIT

ray start --head --block --node-ip-address="$head" --port="$port" --dashboard-host=127.0.0.1 --num-cpus=0 > "ray-head-$SLURM_JOB_ID.log" 2>&1 &
started+=($!)
for _ in $(seq 60); do
    ray health-check --address "$head:$port" > /dev/null 2>&1 && break
    sleep 2
done
if ! ray health-check --address "$head:$port"; then
    echo "archfront: Ray's head must answer at $head:$port in 60 looks, found no answer; see ray-head-$SLURM_JOB_ID.log" >&2
    exit 1
fi

join() { # NODE OPTION...
    (
        trap 'kill $(jobs -p) 2> /dev/null || true; wait; exit' TERM
        for _ in 1 2 3; do # Ray gives a start up after half a minute, which is too little on a busy node; one that was lost comes back
            srun --overlap --cpu-bind=none --nodes=1 --ntasks=1 --nodelist="$1" ray start --block --address="$head:$port" "${@:2}" &
            wait $! && break
            sleep 5
        done
    ) >> "ray-$1-$SLURM_JOB_ID.log" 2>&1 &
    started+=($!)
}
for node in "${nodes[@]:1:${#nodes[@]}-2}"; do
    join "$node" # with the processors that Ray finds there: SLURM_CPUS_ON_NODE is the first node's
done
join "${nodes[-1]}" --num-cpus=0 '--resources={"latency_device": 1}'
for _ in $(seq 60); do # a study whose latency node is not there yet is refused
    ray status --address "$head:$port" 2> /dev/null | grep latency_device > /dev/null && has_device=1 && break
    sleep 2
done
if [ -z "${has_device:-}" ]; then
    echo "archfront: ${nodes[-1]} has not joined to take latencies in 60 looks; see ray-${nodes[-1]}-$SLURM_JOB_ID.log" >&2
fi

RAY_ADDRESS="$head:$port" archfront "$@" &
driver=$!
trap 'kill -TERM $driver 2>/dev/null; wait $driver; exit 143' TERM
wait $driver
