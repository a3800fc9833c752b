#!/usr/bin/env bash
# window.sh RINGSHIFT: under Xvfb the SDL window shows GRUB's menu and takes keys and a typed command, as
# the guest's text screen and the window's pixels tell.
source "$(dirname "$0")/lib.sh"
command -v Xvfb >/dev/null && command -v xdotool >/dev/null || { echo "needs xvfb and xdotool"; exit 77; }
for number in $(seq 90 120); do [ -e "/tmp/.X$number-lock" ] || break; done
Xvfb ":$number" -screen 0 1024x768x24 >/dev/null 2>&1 &
xvfb=$!
trap 'kill $xvfb $guest 2>/dev/null; rm -rf "$work"' EXIT
export DISPLAY=":$number" SDL_VIDEODRIVER=x11
guest=
for _ in $(seq 50); do xdotool getmouselocation >/dev/null 2>&1 && break; sleep 0.2; done

"$ringshift" run "$guests/grub/grub-rescue-cdrom.iso" --display sdl --serial none --timeout 300 \
  --expect 'Press enter' --expect 'grub>' --expect '^typed *$' >"$work/log" 2>&1 </dev/null &
guest=$!
window=$(timeout 60 xdotool search --sync --onlyvisible --name Ringshift | head -n 1)
[ -n "$window" ] || die "no window: $(cat "$work/log")"
xdotool windowfocus "$window"
while kill -0 "$guest" 2>/dev/null; do
  # Wherever GRUB is by now, Escape leads back to its menu and `c` to its prompt.
  xdotool key --delay 200 Escape Escape c
  sleep 3
  xdotool type --delay 150 'echo typed'
  xdotool key Return
  sleep 3
done
wait "$guest"
status=$?
log=$work/log
wants 0
