#!/usr/bin/env bash
# Runs the contract tests against a real SkyPilot API server (as root, on Debian), and stops it afterwards.
set -euo pipefail
cd "$(dirname "$0")/../.."
real=test/support/real-skypilot.sh
trap 'bash "$real" stop' EXIT
endpoint=$(bash "$real" start | tail -1)
SKYDECK_CONTRACT_ENDPOINT=$endpoint SKYDECK_CONTRACT_INFRA=slurm vitest run --project contract
