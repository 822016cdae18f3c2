#!/usr/bin/env bash
# Runs the tests that have a real SkyPilot API server for their subject (as root, on Debian), and stops it afterwards:
# the contract, then a whole SkyDeck on top.
set -euo pipefail
cd "$(dirname "$0")/../.."
real=test/support/real-skypilot.sh
trap 'bash "$real" stop' EXIT
npm run -s build
SKYDECK_CONTRACT_ENDPOINT=$(bash "$real" start | tail -1)
export SKYDECK_CONTRACT_ENDPOINT SKYDECK_CONTRACT_INFRA=slurm
vitest run --project contract
vitest run --project real
