# shellcheck shell=bash
# Sourced by the engines: the password that they share with the services of their system.
#
# The file is one of libpq's (PostgreSQL documentation, "The Password File"), with one line for every host, database and
# user, and readable for its owner alone. A password on a command line could be read by every user of the machine.

# passfile_password FILE -> the password in it. The engine that starts first makes the file: link(2) lets one win.
passfile_password() {
    local new password
    if [[ ! -s $1 ]]; then
        mkdir -p -- "$(dirname "$1")"
        new=$(mktemp -- "$1.XXXXXX") # mode 600
        printf '*:*:*:*:%s\n' "$(head -c 24 /dev/urandom | base64 | tr '+/' '-_')" >"$new"
        ln -T -- "$new" "$1" 2>/dev/null || true
        rm -f -- "$new"
    fi
    IFS= read -r password <"$1"
    password=${password##*:}
    [[ $password =~ ^[A-Za-z0-9_-]{16,}$ ]] ||
        fail "$1: expected one line *:*:*:*:PASSWORD with at least 16 letters, digits, _ or -"
    printf '%s\n' "$password"
}
