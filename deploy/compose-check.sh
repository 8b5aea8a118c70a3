#!/usr/bin/env bash
# Brings the network of docker-compose.yml up, uses it, breaks it, watches it heal, and takes it down; says what it saw,
# with times. Not part of `npm test`: it needs a Docker engine and some minutes.
#
#   deploy/compose-check.sh [--host-network] [--keep]
#
#   --host-network   build the image with the host's network (where containers have no way out)
#   --keep           leave the network running at the end
#
# COMPOSE   the compose program; default: `docker compose` when it is there, else docker-compose
# RELAYS    how many relays to scale to (12)
set -uo pipefail
cd "$(dirname "$0")/.."

project=cepacheck
export CEPA_SOCKS=${CEPA_SOCKS:-127.0.0.1:19050}
relays=${RELAYS:-12}
host_network=
keep=
for option in "$@"; do
  case $option in
    --host-network) host_network=--network=host ;;
    --keep) keep=yes ;;
    *) sed -n '2,12p' "$0" >&2; exit 2 ;;
  esac
done
if [ -z "${COMPOSE:-}" ]; then
  if docker compose version >/dev/null 2>&1; then COMPOSE='docker compose'; else COMPOSE=docker-compose; fi
fi

# An engine that hangs is to be said, not waited for.
compose() { timeout 300 $COMPOSE -p "$project" "$@"; }
now() { date +%s.%N; }
# between A B: seconds; since A: until now.
between() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%.1f s", b - a }'; }
since() { between "$1" "$(now)"; }
say() { printf '%s  %s\n' "$(date +%T)" "$*"; }
failures=0
bad() { say "FAILED: $*"; failures=$((failures + 1)); }

# Runs a command every half second until it succeeds; its first argument is the most seconds.
within() {
  local end=$((SECONDS + $1))
  shift
  until "$@"; do
    [ $SECONDS -lt $end ] || return 1
    sleep 0.5
  done
}

# container SERVICE [NTH]: its id.
container() { compose ps -q "$1" | sed -n "${2:-1}p"; }
page() { curl -s -m 20 --socks5-hostname "$CEPA_SOCKS" "$1" | grep -q 'You reached this page'; }
digest() { curl -s -m 120 --socks5-hostname "$CEPA_SOCKS" "$1" | sha256sum | cut -d' ' -f1; }
# What an authority serves: document AUTHORITY PATH
document() { docker exec "$(container "$1")" node -e "fetch('http://127.0.0.1:9030/tor/status-vote/current/$2').then(a => a.ok ? a.text() : '').then(t => process.stdout.write(t))"; }
# What a container says of itself, from its log; the last time.
fingerprint() { docker logs "$1" 2>&1 | sed -n 's/.*Nickname \([A-Za-z0-9]*\), fingerprint \([0-9A-F]*\).*/\1 \2/p' | tail -1; }
is_known() { [ -n "$(fingerprint "$1")" ]; }
# Sets relay to the container that is the relay of that name now.
find_relay() {
  for relay in $(compose ps -q relay); do
    case $(fingerprint "$relay") in "$1 "*) return 0 ;; esac
  done
  return 1
}
advertised() { docker exec "$1" cat "/data/$2/torrc" | sed -n 's/^Address //p'; }
listed() { document auth2 consensus | grep -q "^r $1 .* $2 9001 "; }
listed_count() { [ "$(document auth2 consensus | grep -c '^s .*Running')" -eq "$1" ]; }
signed_by_all() { [ "$(document auth2 consensus | grep -c '^directory-signature ')" -eq 3 ] && document auth2 consensus | grep -q " $1 9030 9001$"; }

# healthy: whether every container with a health check says so.
healthy() { ! docker inspect $(compose ps -q) --format '{{if .State.Health}}{{.State.Health.Status}}{{end}}' | grep -qE 'starting|unhealthy'; }

# Seconds since a container started.
age() { since "$(date -d "$(docker inspect "$1" --format '{{.State.StartedAt}}')" +%s.%N)"; }

# Removes a container and lets another take its address, so that it gets a new one: unseat ID NAME
unseat() {
  local old; old=$(advertised "$1" "$2")
  local net; net=$(docker inspect "$1" --format '{{range $name, $n := .NetworkSettings.Networks}}{{$name}} {{$n.IPAddress}}{{"\n"}}{{end}}' | awk -v a="$old" '$2 == a { print $1 }')
  docker kill -s KILL "$1" >/dev/null
  # Removed while it still lets go of its networks, it would leave one of them in use for ever (engine 20.10).
  docker wait "$1" >/dev/null
  sleep 1
  docker rm -f "$1" >/dev/null
  squatter=$(docker run -d --network "$net" --ip "$old" cepa container site)
  say "killed and removed $2 at $old; something else has its address now"
}

waiting=
end() {
  [ -z "$waiting" ] || kill "$waiting" 2>/dev/null
  [ -n "$keep" ] && return
  local start; start=$(now)
  # Few at a time: engine 20.10 loses count of a network's containers, or hangs, when many end at once.
  COMPOSE_PARALLEL_LIMIT=3 compose down -v -t 5 >/dev/null 2>&1 || COMPOSE_PARALLEL_LIMIT=3 compose down -v -t 5 >/dev/null 2>&1
  for volume in $(docker volume ls -q --filter "label=com.docker.compose.project=$project"); do
    docker volume rm "$volume" >/dev/null || bad "volume $volume is left"
  done
  [ -z "$(docker ps -aq --filter "label=com.docker.compose.project=$project")" ] || bad 'containers are left'
  # What compose gave up at: engine 20.10 may take a network to be in use that no container is in, until it is restarted.
  for network in $(docker network ls -q --filter "label=com.docker.compose.project=$project"); do
    docker network rm "$network" >/dev/null 2>&1 && continue
    [ "$(docker network inspect "$network" --format '{{len .Containers}}')" -gt 0 ] && bad "network $network is left" ||
      say "the engine keeps network $network, in which there is nobody: restart it"
  done
  say "taken down in $(since "$start")"
}
trap 'end; exit 130' INT TERM

main() {
  say "$(docker version --format 'Docker engine {{.Server.Version}}'), $COMPOSE $($COMPOSE version --short 2>/dev/null), $(nproc) cores, load $(cut -d' ' -f1 /proc/loadavg)"
  start=$(now)
  # shellcheck disable=SC2086 # nothing, or one word each
  docker build -q $host_network ${CEPA_BASE:+--build-arg BASE="$CEPA_BASE"} -t cepa . >/dev/null 2>&1 || { bad 'the image does not build'; exit 1; }
  say "image built in $(since "$start"): $(docker image inspect cepa --format '{{.Size}}' | awk '{ printf "%d MB", $1 / 1e6 }')"

  # Asked for from the beginning, so that the time it came is that at which it could come.
  came=$(mktemp)
  (within 300 page http://demo.cepa.test:8080/ && now >"$came") &
  waiting=$!
  start=$(now)
  compose up -d >/tmp/$project.log 2>&1 || { bad "up: $(tail -3 /tmp/$project.log)"; end; exit 1; }
  say "up returned after $(since "$start"): every authority has a consensus"
  wait "$waiting"
  waiting=
  [ -s "$came" ] || bad 'no page through SOCKS'
  # shellcheck disable=SC2046
  started=$(docker inspect $(compose ps -q auth1 auth2 auth3 relay exit) --format '{{.State.StartedAt}}' | sort)
  began=$(date -d "$(head -1 <<<"$started")" +%s.%N)
  last=$(date -d "$(tail -1 <<<"$started")" +%s.%N)
  say "the first page came through SOCKS $(between "$began" "$(cat "$came")") after the first authority or relay started, $(between "$last" "$(cat "$came")") after the last"
  within 60 healthy && say "all containers say that they are well $(since "$began") after it" || bad 'not all containers become well'
  rm -f "$came"
  say "relays run as $(docker exec "$(container relay)" sh -c 'id -u; touch /x 2>&1' | tr '\n' ' ')"
  within 60 listed_count 11 || bad 'not every relay comes into the consensus'
  say "$(document auth2 consensus | awk '/^r /{ split($7, a, "."); n[a[1] "." a[2]]++; all++ } END { for (k in n) nets++; print all " relays in the consensus, in " nets " networks of a /16" }')"

  start=$(now)
  onion=$(docker exec "$(container onion)" cat /data/service/onion/hostname)
  within 90 page "http://$onion/" && say "a page came from $onion, $(since "$start") after it was asked for" || bad 'no page from the onion service'
  start=$(now)
  one=$(digest http://demo.cepa.test:8080/bytes/5000000)
  say "5 MB through an exit in $(since "$start")"
  start=$(now)
  two=$(digest "http://$onion/bytes/5000000")
  [ "$one" = "$two" ] && say "the same 5 MB from the onion service in $(since "$start"), SHA-256 equal" || bad "5 MB differ: $one $two"

  relay=$(container relay 2)
  read -r name before <<<"$(fingerprint "$relay")"
  old=$(advertised "$relay" "$name")
  unseat "$relay" "$name"
  start=$(now)
  within 60 page http://demo.cepa.test:8080/ && say "a page came without it after $(since "$start")" || bad 'no page without the relay'
  compose up -d relay >/dev/null 2>&1
  within 30 find_relay "$name"
  new=$(advertised "$relay" "$name")
  [ "$(fingerprint "$relay")" = "$name $before" ] && [ "$old" != "$new" ] && say "$name is back with its fingerprint ${before:0:8}… at $new" ||
    bad "$name was $before at $old and is $(fingerprint "$relay") at $new"
  within 90 listed "$name" "$new" && say "the consensus has it at its new address $(age "$relay") after it started" || bad 'the relay does not come back into the consensus'
  docker rm -f "$squatter" >/dev/null

  auth=$(container auth1)
  read -r name before <<<"$(fingerprint "$auth")"
  old=$(advertised "$auth" auth1)
  unseat "$auth" auth1
  start=$(now)
  within 60 page http://demo.cepa.test:8080/ && say "a page came without it after $(since "$start")" || bad 'no page without the authority'
  compose up -d auth1 >/dev/null 2>&1
  auth=$(container auth1)
  within 60 is_known "$auth"
  new=$(advertised "$auth" auth1)
  [ "$(fingerprint "$auth")" = "$name $before" ] && [ "$old" != "$new" ] && say "auth1 is back with its fingerprint ${before:0:8}… at $new" ||
    bad "auth1 was $before at $old and is $(fingerprint "$auth") at $new"
  within 120 signed_by_all "$new" && say "all three sign a consensus with it at its new address $(age "$auth") after it started" || bad 'auth1 does not vote again'
  docker rm -f "$squatter" >/dev/null
  within 60 page http://demo.cepa.test:8080/ && within 90 page "http://$onion/" && say 'a page came through an exit, and from the onion service' || bad 'no page after the authority came back'

  start=$(now)
  compose up -d --scale relay="$relays" >/dev/null 2>&1
  within 120 listed_count $((relays + 6)) && say "scaled to $relays relays: $((relays + 6)) in the consensus after $(since "$start")" || bad "scaled to $relays: $(document auth2 consensus | grep -c '^r ') in the consensus"
  within 60 page http://demo.cepa.test:8080/ || bad 'no page after scaling'

  end
  [ "$failures" -eq 0 ] && say 'all as it should be' || say "$failures failed"
  [ "$failures" -eq 0 ]
}

# Read whole before it runs, so that an edit meanwhile does no harm.
main; exit
