#!/bin/bash
# Boots systemd as process 1 of its own namespaces, over a copy-on-write view of this machine, and runs a probe there.
# usage, as root: unshare --kill-child=KILL --fork --pid --mount --uts --ipc --net --cgroup boot_systemd.sh FOLDER
# FOLDER/units: what goes to /etc/systemd/system. FOLDER/etc: to /etc/birdwatch. FOLDER/out: seen as /out, holds probe.sh.
# FOLDER/binds: lines "SOURCE TARGET" of folders of this machine to be seen elsewhere.
set -e
folder=$1
mount --make-rprivate /
mkdir -p "$folder/m"
mount -t tmpfs tmpfs "$folder/m"
mkdir -p "$folder"/m/{up,work,root}
mount -t overlay overlay -o "lowerdir=/,upperdir=$folder/m/up,workdir=$folder/m/work" "$folder/m/root"
root=$folder/m/root
mount -t proc proc "$root/proc"
# The kernel's settings are the machine's: nothing in here may change them.
mount --bind "$root/proc/sys" "$root/proc/sys"
mount -o remount,bind,ro "$root/proc/sys"
mount -t sysfs -o ro sysfs "$root/sys"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
for place in run tmp dev; do mount -t tmpfs tmpfs "$root/$place"; done
for device in null zero full random urandom; do
    touch "$root/dev/$device"
    mount --bind "/dev/$device" "$root/dev/$device"
done
mkdir -p "$root/dev/shm" "$root/out" "$root/etc/birdwatch"
mount --bind "$folder/out" "$root/out"
while read -r source target; do
    mkdir -p "$root$target"
    mount --bind "$source" "$root$target"
done < "$folder/binds"
cp -a "$folder/units/." "$root/etc/systemd/system/"
cp -a "$folder/etc/." "$root/etc/birdwatch/"
ip link set lo up
cd "$root"
mkdir -p .old
pivot_root . .old
umount -l /.old
# As at a real boot; credentials, for one, are mounted in a namespace of their own and have to come through.
mount --make-rshared /
exec env -i container=other PATH=/usr/bin:/bin:/usr/sbin:/sbin /lib/systemd/systemd --system --unit=probe.target
