#!/usr/bin/env bash
# The one entry point: installs, builds, starts, shows, stops, tests and measures hotspare. `./run.sh help` lists it.
#
# The daemons of a system run under its `supervisor`, a program of the suite, which this script starts and asks over HTTP
# (.run/SYSTEM/supervisor.sock). What runs is recorded there too, a process always as "PID START-TIME BOOT-ID", so that a
# number that the kernel has given to another process in the meantime is never mistaken for ours.
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
PRESET=release
absolute() { if [[ $1 == /* ]]; then echo "$1"; else echo "$PWD/$1"; fi; } # daemons start in $ROOT
RUN=$(absolute "${HOTSPARE_RUN_DIR:-$ROOT/.run}")
BUILD=$(absolute "${HOTSPARE_BUILD_DIR:-$ROOT/build/$PRESET}")
OFFSET=0

# The Debian 12 packages of each task; nothing else is ever installed or fetched.
PACKAGES_BUILD=(g++ cmake ninja-build ccache mold libboost1.81-dev nlohmann-json3-dev libspdlog-dev libfmt-dev
    libyaml-cpp-dev libcli11-dev libsqlite3-dev libpq-dev libhiredis-dev libical-dev libcurl4-openssl-dev
    libc-ares-dev libsodium-dev prometheus-cpp-dev libgtest-dev librapidcheck-dev)
PACKAGES_RUN=(curl iproute2)
PACKAGES_BENCH=(wrk python3)
PACKAGES_COUNT=(linux-perf strace valgrind)
PACKAGES_PEERS=(nginx haproxy caddy)
PACKAGES_ENGINES=(postgresql redis-server)
PACKAGES_TEST=(pgbouncer python3-aiosmtpd openssl)
PACKAGES_LINT=(clang-format clang-tidy shellcheck pyflakes3 python3)
PACKAGES_FUZZ=(clang-16 libclang-rt-16-dev)

PROGRESS_SECONDS=60 # between two lines about a build that is watched through a pipe
ANSWER_SECONDS=10 # of a question that the supervisor answers at once
START_SECONDS=300 # longer than every daemon's own bounds together: the supervisor says earlier what went wrong
STOP_SECONDS=120  # the same for their ends

usage() {
    cat <<'TEXT'
usage: ./run.sh [COMMAND] [--port-offset N]

  up [SYSTEM]       install packages, build, and start a system in the
                    background (default: failover)
  up orders --engine postgres+redis
                    the order pipeline with PostgreSQL and Redis, which are
                    started as well, and two processes of each of its services
                    (default: --engine sqlite)
  status            list the running systems and daemons; one whose supervisor
                    was killed gets another, which adopts its daemons
  logs [-f] [NAME]  show the logs of all daemons or of one; -f follows them
  restart NAME      build, and give a daemon that runs a new process; a balancer
                    is replaced while it serves, and loses no request by it
  stop [NAME]       stop everything that `up` started, or one system or daemon
                    by its name in `status`
  demo              one failover under load: kill the primary, show detection,
                    failover and failback
  experiment ARGS   inject a fault and measure its effect: run NAME, list,
                    check, compare (experiment --help)
  prove orders      kill the processes of the order pipeline hundreds of times,
                    simulate power failures, and count lost orders (minutes);
                    --engine sqlite or --engine postgres+redis: only with one
                    kind of engine (default: both)
  bakeoff [ARGS]    run the same experiments against hotspare, nginx, HAProxy
                    and Caddy
  test [ARGS]       build everything and run all tests; ARGS are passed to
                    ctest; --preset asan or tsan, given first: with sanitizers
  fuzz [TARGET] [--seconds N] [--seed N]
                    run the fuzz targets chunked, config, events, recurrence,
                    request and response, or one, for N seconds each (default
                    60); --seed repeats the search of a seed
  bench [ARGS]      benchmark against nginx, HAProxy and Caddy (bench --help);
                    bench orders: the order pipeline against the disk;
                    bench monitor: what checks, targets and readers cost;
                    bench reload-storm: hundreds of reloads, changes of members
                    and new processes in a minute of load, beside the peers
  lint              check format and run static checks
  build             install packages and build
  help              print this help

--port-offset N adds N to every port. Exit codes: 0 done, 1 failed, 2 bad usage
or a busy port.

Environment:
  HOTSPARE_RUN_DIR    folder for logs, data and process records (default: .run
                      in the folder of this script)
  HOTSPARE_BUILD_DIR  folder with built programs; if it is set, nothing is built
TEXT
    echo
    echo "Systems: $(systems)"
}

asks_for_help() { [[ $1 == -h || $1 == --help ]]; }

# A reader that left (`up | head -1`) or a full disk ends no command: what it started stays, and it says nothing more.
say() { printf '%s\n' "$*" 2>/dev/null || true; }
complain() { printf 'run.sh: %s\n' "${*//$'\n'/$'\n'run.sh: }" >&2; } # every line of it
fail() { complain "$@"; exit 1; }
refuse() { complain "$@"; exit 2; }

systems() {
    local file names=()
    for file in "$ROOT"/config/*.system.yaml; do
        [[ -e $file ]] && names+=("$(basename "$file" .system.yaml)")
    done
    echo "${names[*]}"
}

make_folder() { # FOLDER
    local why
    why=$(mkdir -p -- "$1" 2>&1) && why=$(mktemp -u -p "$1" 2>&1 >/dev/null) && [[ -w $1 ]] && return
    fail "cannot write to $1${why:+ (${why##*: })}: run this as the owner of the folder, or choose others by" \
        "HOTSPARE_RUN_DIR and HOTSPARE_BUILD_DIR (./run.sh help)"
}

# Logs, data and records are for their owner alone, and in the folder of another user that one could replace them.
make_run_folder() {
    (umask 077 && make_folder "$RUN")
    [[ -O $RUN ]] || fail "$RUN belongs to $(stat -Lc %U "$RUN"): run this as that user, or set HOTSPARE_RUN_DIR" \
        "to a folder of your own"
    chmod go= "$RUN"
}

close_inherited() { # every descriptor above 2: what the caller has open is no business of a daemon
    local fd
    for fd in /proc/self/fd/*; do
        fd=${fd##*/}
        if ((fd > 2)); then eval "exec $fd>&-"; fi
    done
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
    say "installing: ${missing[*]}" | fmt -w 80 || true
    make_run_folder
    {
        as_root apt-get update -q &&
            as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${missing[@]}"
    } </dev/null >"$RUN/install.log" 2>&1 || {
        tail -n 15 "$RUN/install.log" >&2
        fail "apt-get failed; all of its output: $RUN/install.log"
    }
}

# Packages that come as system services are installed asleep: a policy file, the Debian way to say so (invoke-rc.d(8)),
# keeps apt from starting them, and they are disabled so that the next boot does not start them.
ensure_asleep() { # PACKAGE...
    local policy=/usr/sbin/policy-rc.d new
    command -v dpkg-query >/dev/null || return 0
    mapfile -t new < <(missing_packages "$@")
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

ensure_peers() {
    ensure_packages "${PACKAGES_BENCH[@]}"
    ensure_asleep "${PACKAGES_PEERS[@]}"
}

build() { # TARGET...: configures if need be and builds these targets of $PRESET
    [[ -z ${HOTSPARE_BUILD_DIR:-} ]] || return 0
    ensure_packages "${PACKAGES_BUILD[@]}" "${PACKAGES_RUN[@]}"
    make_run_folder
    make_folder "$BUILD"
    local log=$RUN/build-$PRESET.log
    say "building $PRESET$([[ -e $BUILD/build.ninja ]] || echo ', the first time takes minutes')"
    local begun=$SECONDS
    configure_and_build "$@" </dev/null 2>&1 | tee "$log" | show_progress || {
        grep -E -A 30 -m 5 '^FAILED|CMake Error' "$log" >&2 || tail -n 40 "$log" >&2
        fail "the build failed; all of its output: $log"
    }

    say "built in $((SECONDS - begun)) s"
}

# From ninja's lines "[DONE/ALL] ...": on a terminal one line that is written over and over, else a plain one now and then.
show_progress() {
    local line begun=$SECONDS said=$SECONDS # when something was said last
    while IFS= read -r line; do
        [[ $line =~ ^\[([0-9]+)/([0-9]+)\] ]] || continue
        if [[ -t 1 ]]; then
            printf '\r\e[K%s' "$(progress "${BASH_REMATCH[1]}" "${BASH_REMATCH[2]}" $((SECONDS - begun)))"
        elif ((SECONDS - said >= PROGRESS_SECONDS)); then
            said=$SECONDS
            say "$(progress "${BASH_REMATCH[1]}" "${BASH_REMATCH[2]}" $((SECONDS - begun)))"
        fi
    done
    if [[ -t 1 ]]; then printf '\r\e[K'; fi
}

# progress DONE ALL SECONDS: how far a build is and, once a tenth of it tells how fast it is, when it will be done
progress() {
    local text
    text="  step $1 of $2, $(clock "$3")"
    if (($1 * 10 >= $2 && $1 < $2)); then text+=", about $(clock $(($3 * ($2 - $1) / $1))) left"; fi
    printf '%.78s' "$text"
}

clock() { printf '%d:%02d' $(($1 / 60)) $(($1 % 60)); } # SECONDS -> MINUTES:SECONDS

configure_and_build() {
    cd "$ROOT" || return
    if [[ ! -e $BUILD/build.ninja ]]; then cmake --preset "$PRESET" || return; fi
    # Tests are listed by running them as they are built.
    fixed_addresses cmake --build --preset "$PRESET" --parallel "$(nproc)" --target "$@"
}

# The sanitizers of GCC 12 and Clang 16 cannot find room for their shadow memory in every address space that newer
# kernels lay out.
fixed_addresses() { # COMMAND...
    if [[ $PRESET == ?san || $PRESET == fuzz ]]; then setarch "$(uname -m)" --addr-no-randomize "$@"; else "$@"; fi
}

# An engine is no daemon of the suite but a third-party server, which a script in engines/ starts. It has nothing
# to be built, speaks no HTTP, and ends after those that use it.
is_engine() { [[ -f $ROOT/engines/$1 ]]; } # PROGRAM

program_path() { # NAME -> the program's file
    local file
    for file in "$ROOT/engines/$1" "$BUILD"/*/"$1"; do
        if [[ -f $file && -x $file ]]; then
            echo "$file"
            return
        fi
    done
    fail "no program $1 under $BUILD"
}

# --- system descriptions ----------------------------------------------------------------------------------------------

system_file() {
    local file=$ROOT/config/$1.system.yaml
    [[ $1 =~ ^[a-z0-9-]+$ && -e $file ]] || refuse "unknown system '$1'; known: $(systems)"
    echo "$file"
}

# The directory of a running system; one that is shifted has its own, so both can run.
instance_dir() { if ((OFFSET)); then echo "$RUN/$1+$OFFSET"; else echo "$RUN/$1"; fi; }

programs_of() { sed -nE 's/^ +program: +([a-z0-9_-]+).*/\1/p' "$(system_file "$1")" | sort -u; } # SYSTEM

ports_of() { # SYSTEM -> every port that its file names, shifted
    local port
    grep -oE '\$\{port:[1-9][0-9]*\}' "$(system_file "$1")" | tr -dc '0-9\n' | sort -nu | while read -r port; do
        echo $((port + OFFSET))
    done
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
  curl localhost:$((p + 8080))/maintenance            # what is announced
  http://localhost:$((p + 8080))/status-page          # in a browser
TEXT
        ;;
    availability) cat <<TEXT
  curl localhost:$((p + 8000))/health
  curl localhost:$((p + 8000))/uptime                 # of this month
  curl localhost:$((p + 8000))/maintenance            # what is announced
  http://localhost:$((p + 8000))/status-page          # in a browser
TEXT
        ;;
    orders | orders-scaled) cat <<TEXT
  curl -X POST localhost:$((p + 8080))/create_order -H 'Content-Type: application/json' \\
    -d '{"order_id":"test-001","product":"Medicine A","quantity":10}'
  curl localhost:$((p + 8080))/orders/test-001        # what has become of it, and how
  curl -X POST localhost:$((p + 5103))/set_failure_mode -d '{"mode":"down"}'
  curl localhost:$((p + 8080))/breaker                # opens when orders meet that
  curl localhost:$((p + 8080))/health_status          # each service's status
TEXT
        ;;
    versions) cat <<TEXT
  curl localhost:$((p + 8010))/                       # v1 answers
  curl -X POST localhost:$((p + 8001))/fail           # v1 fails, v2 takes over
  curl localhost:$((p + 8010))/status
  http://localhost:$((p + 8000))/                     # dashboard: admin, secure123
TEXT
        ;;
    esac
}

# --- processes --------------------------------------------------------------------------------------------------------

# The process that a record names, if it is still that one: its start in clock ticks since boot (proc(5), field 22 of
# stat) is that of the record.
live_pid() { # FILE
    local pid start stat
    { read -r pid start _ <"$1" && read -r stat <"/proc/$pid/stat"; } 2>/dev/null || return 1
    read -ra stat <<<"${stat##*) }"
    [[ ${stat[0]} != Z && ${stat[19]} == "$start" ]] && echo "$pid"
}

instance_alive() { # DIRECTORY
    local file
    for file in "$1"/*.pid; do
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

port_owner() { # PORT -> "name (pid N)" of what listens on it, nothing if none does
    local line
    line=$(ss -H -ltnp "sport = :$1" 2>/dev/null | head -n 1)
    [[ -n $line ]] || return 0
    if [[ $line =~ \(\(\"([^\"]+)\",pid=([0-9]+) ]]; then
        echo "${BASH_REMATCH[1]} (pid ${BASH_REMATCH[2]})"
    else
        echo "a process of another user (sudo ss -ltnp tells which)"
    fi
}

instance_of() { # PID -> the running instance whose daemon it is, nothing if it is of no instance
    local file
    for file in "$RUN"/*/*.pid; do
        if [[ $(live_pid "$file") == "$1" ]]; then basename "$(dirname "$file")"; fi
    done
}

# busy_ports SYSTEM -> one line for each port that is taken, and how to free those that hotspare itself has
busy_ports() {
    local port owner instance own=()
    for port in $(ports_of "$1"); do
        owner=$(port_owner "$port")
        [[ -n $owner ]] || continue
        instance=''
        if [[ $owner =~ \(pid\ ([0-9]+)\)$ ]]; then instance=$(instance_of "${BASH_REMATCH[1]}"); fi
        echo "port $port is busy: $owner${instance:+ of $instance, which uses it too and runs}"
        if [[ -n $instance && " ${own[*]} " != *" $instance "* ]]; then own+=("$instance"); fi
    done
    for instance in "${own[@]}"; do
        if [[ $instance == *+* ]]; then owner="${instance%+*} --port-offset ${instance##*+}"; else owner=$instance; fi
        echo "./run.sh stop $owner ends $instance; with another --port-offset both can run"
    done
}

# --- the supervisor ---------------------------------------------------------------------------------------------------

ask() { # DIRECTORY METHOD PATH -> the supervisor's answer; fails if that is no success
    local seconds=$ANSWER_SECONDS
    if [[ $2 == POST ]]; then seconds=$START_SECONDS; fi
    # The name of a socket has 107 bytes at most, the folder's may have more.
    (cd "$1" 2>/dev/null && exec curl -s --fail-with-body --max-time "$seconds" --unix-socket supervisor.sock \
        -X "$2" "http://supervisor$3")
}

# Variables for the daemons from $ROOT/.env, lines of NAME=VALUE; those that are set already win. The file is read and not
# executed.
read_env_file() {
    local line name value
    [[ -f $ROOT/.env ]] || return 0
    while IFS= read -r line || [[ -n $line ]]; do
        [[ $line =~ ^[[:space:]]*(export[[:space:]]+)?([A-Za-z_][A-Za-z0-9_]*)=(.*)$ ]] || continue
        name=${BASH_REMATCH[2]} value=${BASH_REMATCH[3]}
        value=${value%$'\r'}
        if [[ $value =~ ^\"(.*)\"$ || $value =~ ^\'(.*)\'$ ]]; then value=${BASH_REMATCH[1]}; fi
        if [[ -z ${!name+set} ]]; then export "$name=$value"; fi
    done <"$ROOT/.env"
}

# launch DIRECTORY: its supervisor, by the command line in supervisor.command; returns when it answers. It has a session
# of its own: ^C and a closed terminal are for this script, which then decides what ends. An interruption waits until
# SUPERVISOR is known.
launch() {
    local words
    mapfile -t words <"$1/supervisor.command"
    read_env_file
    INTERRUPTED=false
    trap 'INTERRUPTED=true' INT TERM HUP
    (cd "$ROOT" && close_inherited && umask 077 && exec setsid "${words[@]}") </dev/null >>"$1/supervisor.log" 2>&1 &
    SUPERVISOR=$!
    trap 'interrupted' INT TERM HUP
    if $INTERRUPTED; then interrupted; fi
    answers "$1" || {
        tail -n 5 "$1/supervisor.log" >&2
        return 1
    }
}

answers() { # DIRECTORY: waits for the supervisor that was launched; fails if that ends
    until ask "$1" GET /missing >/dev/null; do
        kill -0 "$SUPERVISOR" 2>/dev/null || return 1
        sleep 0.02
    done
}

# supervised DIRECTORY: if the supervisor of what runs there was killed, another one takes over. The daemons notice nothing.
supervised() {
    ! ask "$1" GET /missing >/dev/null || return 0
    ! live_pid "$1/supervisor.pid" >/dev/null || fail "the supervisor of $(basename "$1") does not answer"
    [[ -e $1/supervisor.command ]] || fail "$1/supervisor.command is missing: who started what runs there?"
    launch "$1" || fail "no supervisor for $(basename "$1"); logs: ${1#"$PWD"/}"
    say "the supervisor of $(basename "$1") had ended; another has adopted its daemons"
}

interrupted() {
    ignore_signals
    exit 130
}

ignore_signals() { trap '' INT TERM HUP; } # from here to the end nothing may cut the clean-up short

# start_all DIRECTORY: every daemon that does not run; returns when all are ready, or says what went wrong. `wait` is
# interrupted by a signal, curl would not be.
start_all() {
    local told=$1/supervisor.answer
    ask "$1" POST /start >"$told" 2>/dev/null &
    if wait $!; then
        rm -f "$told"
        return
    fi
    if [[ -s $told ]]; then
        say "$(<"$told")" >&2
    else
        complain "the supervisor of $(basename "$1") does not answer; the end of its log:"
        tail -n 5 "$1/supervisor.log" >&2
    fi
    rm -f "$told"
    return 1
}

# --- up ---------------------------------------------------------------------------------------------------------------

build_system() { # SYSTEM: builds its programs; its engines are installed
    local program programs targets=(supervisor)
    mapfile -t programs < <(programs_of "$1")
    for program in "${programs[@]}"; do is_engine "$program" || targets+=("$program"); done
    if ((${#targets[@]} <= ${#programs[@]})); then ensure_asleep "${PACKAGES_ENGINES[@]}"; fi
    build "${targets[@]}"
    for program in "${targets[@]}"; do program_path "$program" >/dev/null; done
}

# bring_up SYSTEM: starts it and waits until it answers. Until it does, the end of this script, for whatever reason, is
# the end of the system; from then on it stays, whatever becomes of this script.
bring_up() {
    local directory busy
    directory=$(instance_dir "$1")
    busy=$(busy_ports "$1")
    [[ -z $busy ]] || refuse "$busy"
    build_system "$1"
    umask 077
    mkdir -p "$directory"
    printf '%s\n' "$(program_path supervisor)" --config "$(system_file "$1")" --port-offset "$OFFSET" \
        --directory "$directory" --programs "$BUILD" --engines "$ROOT/engines" --config-folder "$ROOT/config" \
        >"$directory/supervisor.command"
    SUPERVISOR=''
    trap 'ignore_signals; abandon "$(instance_dir "'"$1"'")"' EXIT
    if ! launch "$directory" || ! start_all "$directory"; then
        ignore_signals
        fail "$1 did not start; logs: ${directory#"$PWD"/}"
    fi
    ignore_signals
    trap - EXIT
}

abandon() { # DIRECTORY: of a start that failed or was interrupted
    if [[ -n $SUPERVISOR ]] && answers "$1"; then stop_instance "$1"; fi
}

up() { # [SYSTEM] [--engine NAME]
    local arguments=() engine='' system directory
    while (($#)); do
        case $1 in
        --engine)
            (($# > 1)) || refuse "--engine: a name is missing; known: sqlite postgres+redis"
            engine=$2
            shift
            ;;
        --engine=*) engine=${1#*=} ;;
        *) arguments+=("$1") ;;
        esac
        shift
    done
    take_at_most 1 up "${arguments[@]}"
    system=${arguments[0]:-failover}
    system_file "$system" >/dev/null
    case $engine in
    '') ;;
    sqlite | postgres+redis)
        [[ $system == orders ]] || refuse "up: --engine is for the system orders, not '$system'"
        if [[ $engine != sqlite ]]; then system=orders-scaled; fi
        ;;
    *) refuse "up: unknown engine '$engine'; known: sqlite postgres+redis" ;;
    esac
    directory=$(instance_dir "$system")
    take_lock
    ensure_packages "${PACKAGES_RUN[@]}"
    if instance_alive "$directory"; then supervised "$directory"; fi
    if is_stopping "$directory"; then
        say "$system is being stopped; starting it when that is done"
        stop_instance "$directory"
    fi
    if instance_alive "$directory"; then
        complete "$system" "$directory"
        return
    fi
    bring_up "$system"
    say "$system is up:"
    show_instance "$directory"
    say
    say "Try:"
    say "$(suggestions "$system")"
    say "  ./run.sh logs -f      ./run.sh stop"
}

is_stopping() { [[ $(ask "$1" GET /status) == *'"stopping":true'* ]]; } # DIRECTORY

# complete SYSTEM DIRECTORY: starts what a running system lacks. The others are not touched; if this fails or is
# interrupted, everything stays as far as it got.
complete() {
    local missing
    missing=$(ask "$2" GET /missing)
    if [[ -z $missing ]]; then
        say "$1 already runs:"
    else
        say "$1 runs, but not all of it; starting again: $missing"
        start_all "$2" || fail "$1 is still not complete; see ./run.sh status and ./run.sh logs"
        say "$1 is up:"
    fi
    show_instance "$2"
}

take_lock() { # two `up` at once would both find the ports free
    make_run_folder
    exec 9>"$RUN/lock"
    flock -w 600 9 || fail "another run.sh holds $RUN/lock"
}

# --- status, logs, stop -----------------------------------------------------------------------------------------------

show_instance() { say "$(ask "$1" GET '/status?format=text')"; } # DIRECTORY

status() {
    take_at_most 0 status "$@"
    local directory directories
    mapfile -t directories < <(running_instances)
    for directory in "${directories[@]}"; do
        supervised "$directory"
        say "$(basename "$directory"):"
        show_instance "$directory"
    done
    ((${#directories[@]})) || say "nothing runs"
}

logs() { # of what runs; if nothing does, those that are left from the last time
    local follow=() name='' argument file files=() names=() directory directories
    for argument in "$@"; do
        case $argument in
        -f) follow=(-f) ;;
        -*) refuse "logs: unknown option $argument" ;;
        *)
            [[ -z $name ]] || refuse "logs takes one name"
            name=$argument
            ;;
        esac
    done
    mapfile -t directories < <(running_instances)
    ((${#directories[@]})) || directories=("$RUN"/*/)
    for directory in "${directories[@]}"; do
        for file in "${directory%/}"/*.log; do
            [[ -e $file ]] || continue
            argument=$(basename "$file" .log)
            names+=("$argument")
            if [[ -z $name || $name == "$argument" ]]; then files+=("$file"); fi
        done
    done
    ((${#names[@]})) || refuse "no logs yet: nothing has run"
    ((${#files[@]})) || refuse "no log of '$name'; known: $(printf '%s\n' "${names[@]}" | sort -u | paste -sd ' ')"
    tail -n 50 "${follow[@]}" -- "${files[@]}"
}

stop_instance() { # DIRECTORY; its daemons end in order, by force if they take too long, and then the supervisor
    local deadline=$((SECONDS + STOP_SECONDS))
    ask "$1" POST /stop >/dev/null || true
    while instance_alive "$1"; do
        ((SECONDS < deadline)) || fail "$(basename "$1") has not ended within $STOP_SECONDS s; see ./run.sh status"
        sleep 0.02
    done
}

stop() { # [NAME]: of a system, an instance or a daemon, as `status` prints it
    take_at_most 1 stop "$@"
    local directory directories matching=() name=${1:-}
    mapfile -t directories < <(running_instances)
    for directory in "${directories[@]}"; do
        if [[ -z $name || $directory == "$RUN/$name" || $directory == "$(instance_dir "$name")" ]]; then
            matching+=("$directory")
        fi
    done
    if ((${#matching[@]})); then
        for directory in "${matching[@]}"; do
            supervised "$directory"
            stop_instance "$directory"
            say "stopped $(basename "$directory")"
        done
        return
    fi
    mapfile -t matching < <(instances_with "$name") # no system has the name; a daemon may
    ((${#matching[@]} < 2)) ||
        refuse "$name runs in $(names_of "${matching[@]}"): stop one of them, or say which by --port-offset"
    if ((${#matching[@]})); then
        supervised "${matching[0]}"
        ask "${matching[0]}" POST "/daemons/$name/stop" >/dev/null ||
            fail "$name of $(names_of "${matching[0]}") could not be stopped; see ./run.sh status"
        say "stopped $name of $(names_of "${matching[@]}")"
        return
    fi
    local system=${name%%+*} what="nothing runs${name:+ as $name}"
    if ((OFFSET)); then what+=" with --port-offset $OFFSET"; fi
    if ((${#directories[@]})); then what+="; what runs: $(names_of "${directories[@]}")"; fi
    # What has ended already is no mistake, an unknown name is one.
    [[ -z $name || " $(systems) " == *" $system "* ]] || refuse "$what; systems: $(systems)"
    say "$what"
}

restart() { # NAME: of a daemon, as `status` prints it
    take_at_most 1 restart "$@"
    local name=${1:-} directory matching answer
    [[ -n $name ]] || refuse "restart needs the name of a daemon, see ./run.sh status"
    mapfile -t matching < <(instances_with "$name")
    ((${#matching[@]})) || refuse "no daemon '$name' runs; what runs is shown by ./run.sh status"
    ((${#matching[@]} == 1)) ||
        refuse "$name runs in $(names_of "${matching[@]}"): say which by --port-offset, or ./run.sh stop one of them"
    directory=${matching[0]}
    build_system "$(basename "${directory%+*}")"
    supervised "$directory"
    answer=$(ask "$directory" POST "/daemons/$name/restart") ||
        fail "$name of $(names_of "$directory") was not restarted: ${answer:-see ./run.sh status}"
    say "restarted $name of $(names_of "$directory"):"
    show_instance "$directory"
}

instances_with() { # NAME of a daemon -> the running instances that have it, those with --port-offset if it was given
    local directory directories
    mapfile -t directories < <(running_instances)
    for directory in "${directories[@]}"; do
        if ((!OFFSET)) || [[ $directory == *+$OFFSET ]]; then
            [[ ! -e $directory/$1.log || $1 == supervisor ]] || echo "$directory"
        fi
    done
}

names_of() { basename -a -- "$@" | paste -sd ' '; } # DIRECTORY... -> the instances

# --- experiments, test, fuzz, bench -----------------------------------------------------------------------------------

# The programs of an experiment are its own, on free ports: no fault hits a system that already runs.
experiment() { # ARGUMENT...
    ensure_packages "${PACKAGES_RUN[@]}"
    build primary spare balancer external_service monitor order_service validation_service experiment
    exec "$(program_path experiment)" "$@"
}

prove() { # orders ARGUMENT...
    if asks_for_help "${1:-}"; then usage; return; fi
    [[ ${1:-} == orders ]] || refuse "prove: expected 'orders', not '${1:-}'"
    ensure_packages "${PACKAGES_RUN[@]}"
    if ! [[ " ${*:2} " =~ \ (--help|-h|--engine\ sqlite)\  ]]; then ensure_asleep "${PACKAGES_ENGINES[@]}"; fi
    build orders_prove
    exec "$(program_path orders_prove)" "${@:2}"
}

demo() {
    take_at_most 0 demo "$@"
    experiment run demo --repeat 1
}

bakeoff() {
    [[ " $* " =~ \ (-h|--help)\  ]] || ensure_peers
    experiment bakeoff "$@"
}

# run_tests [--preset NAME] [CTEST ARGUMENTS]
run_tests() {
    if asks_for_help "${1:-}"; then usage; return; fi
    if [[ ${1:-} == --preset ]]; then
        PRESET=${2:-}
        BUILD=$ROOT/build/$PRESET
        [[ $PRESET =~ ^[a-z]+$ ]] || refuse "test: --preset needs a name"
        shift 2
    fi
    ensure_packages python3
    ensure_asleep "${PACKAGES_ENGINES[@]}" "${PACKAGES_TEST[@]}"
    build all
    say "testing $PRESET"
    # Most tests wait most of the time; under a sanitizer they compute.
    local jobs
    jobs=$(nproc)
    if [[ $PRESET != ?san ]]; then jobs=$((jobs + 1)); fi
    fixed_addresses ctest --test-dir "$BUILD" -j "$jobs" --output-on-failure "$@"
}

fuzz_targets() {
    local file
    for file in "$ROOT"/tests/fuzz/*_fuzz.cpp; do basename "$file" _fuzz.cpp; done
}

# fuzz [TARGET] [--seconds N] [--seed N]: each target in turn, from the kept corpus and what earlier runs have added to the scratch
# corpus below build/. What is found stays there too, and every target has its turn before this fails.
fuzz() {
    if asks_for_help "${1:-}"; then usage; return; fi
    local seconds=60 seed=0 targets=() target broken=false # libFuzzer takes 0 for "choose one"
    while (($#)); do
        case $1 in
        --seconds | --seed)
            [[ ${2:-} =~ ^[1-9][0-9]{0,5}$ ]] || refuse "fuzz: $1 needs a whole number from 1"
            if [[ $1 == --seed ]]; then seed=$2; else seconds=$2; fi
            shift
            ;;
        *)
            [[ -e $ROOT/tests/fuzz/$1_fuzz.cpp ]] || refuse "fuzz: no target '$1'; known: $(fuzz_targets | paste -sd ' ')"
            targets+=("$1")
            ;;
        esac
        shift
    done
    ((${#targets[@]})) || mapfile -t targets < <(fuzz_targets)
    PRESET=fuzz
    BUILD=$ROOT/build/$PRESET
    ensure_packages "${PACKAGES_FUZZ[@]}"
    build "${targets[@]/%/_fuzz}"
    for target in "${targets[@]}"; do
        search "$target" "$seconds" "$seed" || broken=true
    done
    ! $broken
}

# search TARGET SECONDS SEED: fails when libFuzzer finds something, and says how to see it again. One input may take 25 s: more
# than a starved machine adds, far less than a hang.
search() {
    local program scratch=$BUILD/corpus/$1 found=$BUILD/found/$1 options=() input
    program=$(program_path "$1_fuzz")
    mkdir -p "$scratch" "$found"
    if [[ -e $ROOT/tests/fuzz/$1.dict ]]; then options=(-dict="$ROOT/tests/fuzz/$1.dict"); fi
    say "fuzzing $1 for $2 s"
    if fixed_addresses "$program" -max_total_time="$2" -seed="$3" -timeout=25 -rss_limit_mb=2048 -max_len=4096 \
        -print_final_stats=1 -artifact_prefix="$found/" "${options[@]}" \
        "$scratch" "$ROOT/tests/fuzz/corpus/$1" >"$found/log" 2>&1; then
        sed -nE 's/^stat::number_of_executed_units: +([0-9]+)/  \1 inputs, nothing found/p' "$found/log"
        return
    fi
    grep -vE '^#[0-9]+\s' "$found/log" | tail -n 40 >&2
    input=$(sed -nE 's/.*Test unit written to (.*)/\1/p' "$found/log" | tail -n 1)
    say "found; to see it again: setarch $(uname -m) -R $program ${input:-(no input was kept: $found/log)}" >&2
    return 1
}

lint() {
    take_at_most 0 lint "$@"
    ensure_packages "${PACKAGES_LINT[@]}"
    exec "$ROOT/.ci/lint"
}

bench() {
    if [[ " $* " =~ \ (-h|--help)\  ]]; then # needs nothing that has to be built first
        ensure_packages python3
        if [[ ${1:-} =~ ^(orders|monitor|reload-storm)$ ]]; then exec "$ROOT/bench/$1" --help; fi
        exec "$ROOT/bench/run" --help
    fi
    build all
    if [[ ${1:-} == orders || ${1:-} == monitor ]]; then
        ensure_packages "${PACKAGES_BENCH[@]}"
        exec "$ROOT/bench/$1" --build "$BUILD" "${@:2}"
    fi
    if [[ ${1:-} == reload-storm ]]; then
        ensure_peers
        exec "$ROOT/bench/$1" --build "$BUILD" "${@:2}"
    fi
    ensure_packages "${PACKAGES_COUNT[@]}"
    ensure_peers
    exec "$ROOT/bench/run" --build "$BUILD" "$@"
}

# --- entry ------------------------------------------------------------------------------------------------------------

take_at_most() { # COUNT COMMAND ARGUMENT...: refuses options, and more arguments than that
    local argument
    for argument in "${@:3}"; do
        [[ $argument != -* ]] || refuse "$2: unknown option $argument"
    done
    (($# - 2 <= $1)) || refuse "$2 takes $( (($1)) && echo "one system" || echo "no arguments")"
}

set_offset() { # TEXT
    if ! [[ $1 =~ ^[0-9]{1,5}$ ]] || ((10#$1 > 50000)); then refuse "--port-offset: expected 0 to 50000, not '$1'"; fi
    OFFSET=$((10#$1))
}

main() {
    local arguments=() command
    trap : PIPE # not ignored, which daemons would inherit: say() goes on when its reader has left
    while (($#)); do
        case $1 in
        --port-offset | --port-offset=*)
            (($# > 1)) || [[ $1 == *=* ]] || refuse "--port-offset: a number is missing"
            if [[ $1 == --port-offset ]]; then shift; fi
            set_offset "${1#--port-offset=}"
            ;;
        -h | --help)
            arguments=(help)
            break
            ;;
        test | bench | fuzz | experiment | bakeoff | prove) # theirs is the rest of the line
            arguments+=("$@")
            break
            ;;
        *) arguments+=("$1") ;;
        esac
        shift
    done
    ((${#arguments[@]})) || arguments=(up)
    set -- "${arguments[@]}"
    command=$1
    shift
    case $command in
    up | status | logs | restart | stop | demo | experiment | bakeoff | prove | bench | fuzz | lint) "$command" "$@" ;;
    build)
        take_at_most 0 build "$@"
        build all
        ;;
    test) run_tests "$@" ;;
    help)
        take_at_most 0 help "$@"
        usage
        ;;
    *)
        printf "run.sh: unknown command: %s\n\n" "${command:-''}" >&2
        usage >&2
        exit 2
        ;;
    esac
}

if [[ ${BASH_SOURCE[0]} == "$0" ]]; then main "$@"; fi # its test reads the functions alone
