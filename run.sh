#!/usr/bin/env bash
# The one entry point: installs, builds, starts, shows, stops, tests and measures hotspare. `./run.sh help` lists it.
#
# Every daemon runs under a small supervisor of its own (this script again, `supervise`), which starts it again when it
# fails. What runs is recorded under .run/SYSTEM/, a process always as "PID START-TIME", so that a number that the
# kernel has given to somebody else in the meantime is never mistaken for ours.
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# For tests: a place of their own for what runs, and programs that are already built (then nothing is built here).
RUN=${HOTSPARE_RUN_DIR:-$ROOT/.run}
PRESET=release
BUILD=${HOTSPARE_BUILD_DIR:-$ROOT/build/$PRESET}
OFFSET=0

# The Debian 12 packages of each task; nothing else is ever installed or fetched.
PACKAGES_BUILD=(g++ cmake ninja-build ccache mold libboost1.81-dev nlohmann-json3-dev libspdlog-dev libfmt-dev
    libyaml-cpp-dev libcli11-dev libssl-dev libsqlite3-dev prometheus-cpp-dev libgtest-dev librapidcheck-dev
    libbenchmark-dev)
PACKAGES_RUN=(curl iproute2)
PACKAGES_BENCH=(wrk python3)
PACKAGES_PEERS=(nginx haproxy caddy)
PACKAGES_LINT=(clang-format clang-tidy shellcheck pyflakes3)

READY_SECONDS=15         # from the start to the last daemon's first good answer
STOP_SECONDS=15          # longer than the balancer's own drain; then SIGKILL
PAUSE_FIRST_MS=200       # before a failed daemon is started again; doubled each time ...
PAUSE_MOST_MS=10000      # ... up to this
HEALTHY_SECONDS=30       # after so long without a failure the pause starts over
LOG_BYTES=$((8 * 1024 * 1024)) # a larger log is set aside, once, when its daemon starts

usage() {
    cat <<'TEXT'
usage: ./run.sh [COMMAND] [--port-offset N]

  up [SYSTEM]       install, build, start in the background (default: failover)
  status            what runs
  logs [-f] [NAME]  the daemons' logs, or one's; -f follows
  stop [SYSTEM]     end everything that `up` started
  demo              kill the primary under load and watch nobody notice
  test [ARGS]       build everything and run every test; ARGS go to ctest;
                    first --preset asan or tsan for the sanitizers
  bench [ARGS]      measure beside nginx, HAProxy and Caddy (bench --help)
  lint              format and static checks
  build             install and build, no more
  help              this text

--port-offset N adds N to every port. Exit codes: 0 done, 1 failed, 2 bad usage
or a busy port.
TEXT
    echo
    echo "Systems: $(systems)"
}

say() { printf '%s\n' "$*"; }
fail() { printf 'run.sh: %s\n' "$*" >&2; exit 1; }
refuse() { printf 'run.sh: %s\n' "$*" >&2; exit 2; }

systems() {
    local file names=()
    for file in "$ROOT"/config/*.system; do
        [[ -e $file ]] && names+=("$(basename "$file" .system)")
    done
    echo "${names[*]}"
}

# --- installing and building ------------------------------------------------------------------------------------------

missing_packages() {
    local package
    for package in "$@"; do
        [[ $(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null) == installed ]] || echo "$package"
    done
}

as_root() { if ((EUID == 0)); then "$@"; else sudo "$@"; fi; }

ensure_packages() {
    command -v dpkg-query >/dev/null || return 0 # not Debian: CMake will name what it cannot find
    local missing
    mapfile -t missing < <(missing_packages "$@")
    ((${#missing[@]})) || return 0
    if ((EUID != 0)) && ! command -v sudo >/dev/null; then
        fail "missing packages, and neither root nor sudo to install them: apt-get install ${missing[*]}"
    fi
    say "installing: ${missing[*]}"
    mkdir -p "$RUN"
    {
        as_root apt-get update -q &&
            as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${missing[@]}"
    } </dev/null >"$RUN/install.log" 2>&1 || {
        tail -n 15 "$RUN/install.log" >&2
        fail "apt-get failed; all of its output: $RUN/install.log"
    }
}

# The peers of the benchmark come as system services. They are installed asleep: a policy file, the Debian way to say so
# (invoke-rc.d(8)), keeps apt from starting them, and they are disabled so that the next boot does not start them.
ensure_peers() {
    ensure_packages "${PACKAGES_BENCH[@]}"
    local policy=/usr/sbin/policy-rc.d new
    mapfile -t new < <(missing_packages "${PACKAGES_PEERS[@]}")
    ((${#new[@]})) || return 0
    (
        if [[ ! -e $policy ]]; then
            trap 'as_root rm -f "$policy"' EXIT
            printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
            as_root chmod +x "$policy"
        fi
        ensure_packages "${new[@]}"
    )
    if command -v systemctl >/dev/null; then as_root systemctl --quiet disable "${new[@]}" || true; fi
}

build() { # TARGET...: configures if need be and builds these targets of $PRESET
    [[ -z ${HOTSPARE_BUILD_DIR:-} ]] || return 0
    ensure_packages "${PACKAGES_BUILD[@]}" "${PACKAGES_RUN[@]}"
    mkdir -p "$RUN"
    local log=$RUN/build-$PRESET.log
    say "building $PRESET$([[ -e $BUILD/build.ninja ]] || echo ', the first time takes minutes')"
    configure_and_build "$@" </dev/null >"$log" 2>&1 || {
        grep -E -A 30 -m 5 '^FAILED|CMake Error' "$log" >&2 || tail -n 40 "$log" >&2
        fail "the build failed; all of its output: $log"
    }
}

configure_and_build() {
    cd "$ROOT" || return
    if [[ ! -e $BUILD/build.ninja ]]; then cmake --preset "$PRESET" || return; fi
    # Tests are listed by running them as they are built.
    fixed_addresses cmake --build --preset "$PRESET" --parallel "$(nproc)" --target "$@"
}

# The sanitizers of GCC 12 cannot find room for their shadow memory in every address space that newer kernels lay out.
fixed_addresses() { # COMMAND...
    if [[ $PRESET == ?san ]]; then setarch "$(uname -m)" --addr-no-randomize "$@"; else "$@"; fi
}

program_path() { # NAME -> the program's file
    local file
    for file in "$BUILD"/*/"$1"; do
        if [[ -f $file && -x $file ]]; then
            echo "$file"
            return
        fi
    done
    fail "no program $1 under $BUILD"
}

# --- system descriptions ----------------------------------------------------------------------------------------------

system_file() {
    local file=$ROOT/config/$1.system
    [[ $1 =~ ^[a-z0-9-]+$ && -e $file ]] || refuse "unknown system '$1'; known: $(systems)"
    echo "$file"
}

# The directory of a running system; one that is shifted has its own, so both can run.
instance_dir() { if ((OFFSET)); then echo "$RUN/$1+$OFFSET"; else echo "$RUN/$1"; fi; }

# A description's ${port:N} is N shifted by the offset (so ${port:0} is the offset itself); its paths below .run/SYSTEM/
# belong to the instance.
daemon_lines() { # SYSTEM -> "NAME COMMAND-LINE" of each daemon
    local line directory
    directory=$(instance_dir "$1")
    while IFS= read -r line || [[ -n $line ]]; do
        line=${line%%#*}
        [[ $line =~ [^[:space:]] ]] || continue
        while [[ $line =~ \$\{port:([0-9]+)\} ]]; do
            line=${line//"${BASH_REMATCH[0]}"/$((BASH_REMATCH[1] + OFFSET))}
        done
        echo "${line//.run\/$1\//$directory/}"
    done <"$(system_file "$1")"
}

daemon_names() { daemon_lines "$1" | while read -r name _; do echo "$name"; done; }

service_ports() { # SYSTEM -> the port that each daemon serves on, shifted: its --port, or `listen` of its --config
    local line port
    daemon_lines "$1" | while IFS= read -r line; do
        if [[ $line =~ --port[[:space:]]+([0-9]+) ]]; then
            echo "${BASH_REMATCH[1]}"
        elif [[ $line =~ --config[[:space:]]+([^[:space:]]+) ]]; then
            port=$(sed -nE 's/^listen:.*:([0-9]+).*/\1/p' "$ROOT/${BASH_REMATCH[1]}")
            echo $((port + OFFSET))
        fi
    done
}

all_ports() { # SYSTEM -> the same and the control ports
    service_ports "$1"
    daemon_lines "$1" | sed -nE 's/.*--control-port +([0-9]+).*/\1/p'
}

suggestions() { # SYSTEM -> what to try, at most 80 columns wide
    local p=$OFFSET
    case $1 in
    failover) cat <<TEXT
  curl localhost:$((p + 5000))/data                   # the primary answers
  curl localhost:$((p + 5000))/status                 # who is healthy, who is active
  curl -X POST localhost:$((p + 5001))/fail           # the primary fails ...
  curl localhost:$((p + 5000))/data                   # ... and the spare answers
  curl -X POST localhost:$((p + 5001))/recover
TEXT
        ;;
    reverse-proxy) cat <<TEXT
  curl localhost:$((p + 8021))/proxy/health           # which backend is active
  curl localhost:$((p + 8021))/proxy/data
  curl -X POST localhost:$((p + 8021))/proxy/fail     # its process ends and is restarted
TEXT
        ;;
    load-balancer) cat <<TEXT
  curl localhost:$((p + 8080))/                       # either instance answers
  curl -X POST localhost:$((p + 8000))/fail           # one fails and is left out
  curl localhost:$((p + 8080))/status
TEXT
        ;;
    versions) cat <<TEXT
  curl localhost:$((p + 8010))/                       # v1 answers
  curl -X POST localhost:$((p + 8001))/fail           # v1 fails, v2 takes over
  curl localhost:$((p + 8010))/status
TEXT
        ;;
    esac
}

# --- processes --------------------------------------------------------------------------------------------------------

start_time() { # PID -> its start in clock ticks since boot, nothing if it is gone (proc(5), field 22 of stat)
    local stat
    { read -r stat <"/proc/$1/stat"; } 2>/dev/null || return 0
    stat=${stat##*) }
    # shellcheck disable=SC2086 # split into fields
    set -- $stat
    [[ $1 == Z ]] || echo "${20}"
}

record() { echo "$2 $(start_time "$2")" >"$1.new" && mv "$1.new" "$1"; } # FILE PID

live_pid() { # FILE -> the recorded process, if it is still that one
    local pid start
    { read -r pid start <"$1"; } 2>/dev/null || return 1
    [[ -n $start && $(start_time "$pid") == "$start" ]] && echo "$pid"
}

instance_alive() { # DIRECTORY
    local file
    for file in "$1"/*.pid "$1"/*.supervisor; do
        live_pid "$file" >/dev/null && return 0
    done
    return 1
}

running_instances() {
    local directory
    for directory in "$RUN"/*/; do
        directory=${directory%/}
        if instance_alive "$directory"; then echo "$directory"; fi
    done
}

port_owner() { # PORT -> "name (pid N)" of who listens on it, nothing if nobody does
    local line
    line=$(ss -H -ltnp "sport = :$1" 2>/dev/null | head -n 1)
    [[ -n $line ]] || return 0
    if [[ $line =~ \(\(\"([^\"]+)\",pid=([0-9]+) ]]; then
        echo "${BASH_REMATCH[1]} (pid ${BASH_REMATCH[2]})"
    else
        echo "a process of another user (sudo ss -ltnp tells which)"
    fi
}

busy_ports() { # SYSTEM -> one line for each port that somebody else holds
    local port owner
    for port in $(all_ports "$1"); do
        owner=$(port_owner "$port")
        [[ -z $owner ]] || echo "port $port is busy: $owner"
    done
}

# --- the supervisor ---------------------------------------------------------------------------------------------------

# supervise DIRECTORY NAME COMMAND...: keeps one daemon running until SIGTERM. Exit codes 0 and 2 are the daemon's own
# decision (asked to stop, bad usage): starting it again would not change its mind.
supervise() {
    local directory=$1 name=$2 pause=$PAUSE_FIRST_MS started code
    shift 2
    SUPERVISED='' STOPPING=false
    trap 'STOPPING=true; end_supervised' TERM
    trap '' INT HUP
    record "$directory/$name.supervisor" $$
    while ! $STOPPING; do
        rotate "$directory/$name.log"
        "$@" </dev/null >>"$directory/$name.log" 2>&1 &
        SUPERVISED=$!
        started=$SECONDS
        record "$directory/$name.pid" "$SUPERVISED"
        await_supervised && code=0 || code=$?
        SUPERVISED=''
        rm -f "$directory/$name.pid"
        $STOPPING && break
        note "$directory" "$name" "exited with $code after $((SECONDS - started)) s"
        if ((code == 0 || code == 2)); then break; fi
        if ((SECONDS - started >= HEALTHY_SECONDS)); then pause=$PAUSE_FIRST_MS; fi
        rest "$pause"
        pause=$((pause * 2 < PAUSE_MOST_MS ? pause * 2 : PAUSE_MOST_MS))
        echo . >>"$directory/$name.restarts"
    done
    rm -f "$directory/$name.supervisor"
}

await_supervised() { # a trapped signal ends `wait` early, so wait until the process is really gone
    local code=0
    while :; do
        wait "$SUPERVISED" && code=0 || code=$?
        kill -0 "$SUPERVISED" 2>/dev/null || return "$code"
    done
}

end_supervised() { # SIGCONT: a stopped process could not act on SIGTERM
    [[ -z $SUPERVISED ]] || kill -TERM "$SUPERVISED" 2>/dev/null || true
    [[ -z $SUPERVISED ]] || kill -CONT "$SUPERVISED" 2>/dev/null || true
}

rest() { # MILLISECONDS, or until the supervisor is told to stop
    sleep "$(printf '%d.%03d' $(($1 / 1000)) $(($1 % 1000)))" &
    wait $! || kill $! 2>/dev/null || true
}

note() { # DIRECTORY NAME TEXT: into the log and, as the latest word, into NAME.state
    echo "$3" >"$1/$2.state"
    printf '%s run.sh: %s %s\n' "$(date -u +%Y-%m-%dT%H:%M:%S.%3NZ)" "$2" "$3" >>"$1/$2.log"
}

rotate() { # LOG
    local size
    size=$(stat -c %s "$1" 2>/dev/null) || return 0
    ((size < LOG_BYTES)) || mv "$1" "$1.1"
}

# --- up ---------------------------------------------------------------------------------------------------------------

start_daemons() { # SYSTEM DIRECTORY
    local line words name program
    while IFS= read -r line; do
        read -ra words <<<"$line"
        name=${words[0]}
        program=$(program_path "${words[1]}")
        rm -f "$2/$name.state" "$2/$name.restarts"
        # A session of its own: ^C and a closed terminal are for this script, which then decides what ends. The lock on
        # descriptor 9 is not inherited, or it would be held for as long as the daemon lives.
        (cd "$ROOT" && exec setsid "$BASH" "$ROOT/run.sh" supervise "$2" "$name" "$program" "${words[@]:2}" \
            </dev/null >>"$2/$name.log" 2>&1 9>&-) &
    done < <(daemon_lines "$1")
}

answers() { curl -fs -o /dev/null --max-time 1 "http://127.0.0.1:$1/health"; } # PORT

await_ready() { # SYSTEM DIRECTORY: until every daemon answers /health with success; fails when a daemon gives up
    local deadline=$((SECONDS + READY_SECONDS)) port name
    for port in $(service_ports "$1"); do
        until answers "$port"; do
            for name in $(daemon_names "$1"); do
                [[ ! -e $2/$name.state ]] || { report_failure "$2" "$name" "$(<"$2/$name.state")"; return 1; }
            done
            ((SECONDS < deadline)) || { say "port $port: no good answer within $READY_SECONDS s" >&2; return 1; }
            sleep 0.05
        done
    done
}

report_failure() { # DIRECTORY NAME TEXT
    say "$2 $3; the end of its log:" >&2
    tail -n 5 "$1/$2.log" >&2
}

# bring_up SYSTEM: starts it and waits until it answers; whatever goes wrong, nothing of it is left.
bring_up() {
    local directory busy target targets
    directory=$(instance_dir "$1")
    busy=$(busy_ports "$1")
    [[ -z $busy ]] || refuse "$busy"
    mapfile -t targets < <(daemon_lines "$1" | while read -r _ program _; do echo "$program"; done | sort -u)
    build "${targets[@]}"
    for target in "${targets[@]}"; do program_path "$target" >/dev/null; done
    mkdir -p "$directory"
    trap 'stop_instance "$(instance_dir "'"$1"'")"; exit 130' INT TERM
    start_daemons "$1" "$directory"
    if ! await_ready "$1" "$directory"; then
        stop_instance "$directory"
        fail "$1 did not start; logs: ${directory#"$PWD"/}"
    fi
    trap - INT TERM
}

up() {
    (($# <= 1)) || refuse "up takes one system"
    local system=${1:-failover} directory
    system_file "$system" >/dev/null
    directory=$(instance_dir "$system")
    take_lock
    if instance_alive "$directory"; then
        say "$system already runs:"
        show_instance "$directory"
        return
    fi
    ensure_packages "${PACKAGES_RUN[@]}"
    bring_up "$system"
    say "$system is up:"
    show_instance "$directory"
    printf "\nTry:\n"
    suggestions "$system"
    say "  ./run.sh logs -f      ./run.sh stop"
}

take_lock() { # two `up` at once would both find the ports free
    mkdir -p "$RUN"
    exec 9>"$RUN/lock"
    flock -w 600 9 || fail "another run.sh holds $RUN/lock"
}

# --- status, logs, stop -----------------------------------------------------------------------------------------------

show_instance() { # DIRECTORY
    local file name pid restarts
    for file in "$1"/*.log; do
        [[ -e $file ]] || continue
        name=$(basename "$file" .log)
        restarts=$(wc -l 2>/dev/null <"$1/$name.restarts") || restarts=0
        if pid=$(live_pid "$1/$name.pid"); then
            printf '  %-12s pid %-8s ports %-14s restarts %s\n' "$name" "$pid" "$(ports_of "$pid")" "$restarts"
        else
            printf '  %-12s down: %s\n' "$name" "$(cat "$1/$name.state" 2>/dev/null || echo stopped)"
        fi
    done
}

ports_of() { # PID -> the ports that it listens on
    ss -H -ltnp 2>/dev/null | grep -F "pid=$1," | grep -oE ':[0-9]+ ' | tr -d ': ' | sort -nu | paste -sd, || true
}

status() {
    local directory found=false
    for directory in $(running_instances); do
        found=true
        say "$(basename "$directory"):"
        show_instance "$directory"
    done
    $found || say "nothing runs"
}

logs() {
    local follow=() name='' argument files=() directory
    for argument in "$@"; do
        case $argument in
        -f) follow=(-f) ;;
        -*) refuse "logs: unknown option $argument" ;;
        *) name=$argument ;;
        esac
    done
    for directory in $(running_instances); do
        for argument in "$directory"/${name:-*}.log; do
            [[ -e $argument ]] && files+=("$argument")
        done
    done
    ((${#files[@]})) || refuse "no log${name:+ of $name}: $([[ -n $(running_instances) ]] || echo nothing runs)"
    tail -n 50 "${follow[@]}" -- "${files[@]}"
}

# stop_instance DIRECTORY: supervisors first, each ends its own daemon; then whoever is left, by force.
stop_instance() {
    local file pid deadline=$((SECONDS + STOP_SECONDS))
    for file in "$1"/*.supervisor; do
        if pid=$(live_pid "$file"); then kill -TERM "$pid" 2>/dev/null || true; fi
    done
    while ((SECONDS < deadline)) && instance_alive "$1"; do
        for file in "$1"/*.pid; do # a daemon whose supervisor was killed
            if pid=$(live_pid "$file") && ! live_pid "${file%.pid}.supervisor" >/dev/null; then
                kill -TERM "$pid" 2>/dev/null || true
            fi
        done
        sleep 0.05
    done
    for file in "$1"/*.supervisor "$1"/*.pid; do
        if pid=$(live_pid "$file"); then kill -KILL "$pid" 2>/dev/null || true; fi
        rm -f "$file"
    done
}

stop() {
    (($# <= 1)) || refuse "stop takes one system"
    local directory found=false
    [[ $# == 0 ]] || system_file "$1" >/dev/null
    for directory in $(running_instances); do
        if (($#)) && [[ $directory != "$(instance_dir "$1")" ]]; then continue; fi
        found=true
        stop_instance "$directory"
        say "stopped $(basename "$directory")"
    done
    $found || say "nothing runs"
}

# --- demo, test, bench ------------------------------------------------------------------------------------------------

demo() {
    (($# == 0)) || refuse "demo takes no arguments"
    ensure_packages "${PACKAGES_RUN[@]}"
    build primary spare balancer demo
    take_lock
    # An instance of its own, on the first free set of ports: a system that already runs is nobody's to shoot at.
    while instance_alive "$(instance_dir failover)" || [[ -n $(busy_ports failover) ]]; do
        ((OFFSET < 2000)) || fail "no free ports for the demo"
        OFFSET=$((OFFSET + 100))
    done
    local directory code=0
    directory=$(instance_dir failover)
    trap 'stop_instance "$(instance_dir failover)"' EXIT
    bring_up failover
    trap 'exit 130' INT TERM
    "$(program_path demo)" --balancer "127.0.0.1:$((5000 + OFFSET))" --victim "$directory/primary.pid" || code=$?
    return "$code"
}

# run_tests [--preset NAME] [CTEST ARGUMENTS]
run_tests() {
    if [[ ${1:-} == --preset ]]; then
        PRESET=${2:-}
        BUILD=$ROOT/build/$PRESET
        [[ $PRESET =~ ^[a-z]+$ ]] || refuse "test: --preset needs a name"
        shift 2
    fi
    build all
    say "testing $PRESET"
    fixed_addresses ctest --test-dir "$BUILD" -j 2 --output-on-failure "$@"
}

lint() {
    ensure_packages "${PACKAGES_LINT[@]}"
    exec "$ROOT/.ci/lint"
}

bench() {
    build all
    ensure_peers
    exec "$ROOT/bench/run" --build "$BUILD" "$@"
}

# --- entry ------------------------------------------------------------------------------------------------------------

set_offset() { # TEXT
    if ! [[ $1 =~ ^[0-9]{1,5}$ ]] || ((10#$1 > 50000)); then refuse "--port-offset: expected 0 to 50000, not '$1'"; fi
    OFFSET=$((10#$1))
}

main() {
    local arguments=() command
    while (($#)); do
        case $1 in
        --port-offset | --port-offset=*)
            (($# > 1)) || [[ $1 == *=* ]] || refuse "--port-offset: a number is missing"
            if [[ $1 == --port-offset ]]; then shift; fi
            set_offset "${1#--port-offset=}"
            ;;
        supervise | test | bench) # theirs is the rest of the line
            arguments+=("$@")
            break
            ;;
        *) arguments+=("$1") ;;
        esac
        shift
    done
    set -- "${arguments[@]:-up}"
    command=$1
    shift
    case $command in
    up | status | logs | stop | demo | bench | lint | supervise) "$command" "$@" ;;
    build) build all ;;
    test) run_tests "$@" ;;
    help | -h | --help) usage ;;
    *)
        printf 'run.sh: unknown command: %s\n\n' "$command" >&2
        usage >&2
        exit 2
        ;;
    esac
}

main "$@"
