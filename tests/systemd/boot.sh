#!/bin/sh
# Boots the Debian in the directory $1, in namespaces that unshare(1) has just made.
set -eu
root=$1

mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
# Most of what systemd-sysctl sets is of the whole machine: it leaves a read-only tree alone.
mount --bind "$root/proc/sys" "$root/proc/sys"
mount -o remount,bind,ro "$root/proc/sys"
mount -t sysfs sysfs "$root/sys"
if [ "$(stat -f -c %T /sys/fs/cgroup)" = cgroup2fs ]; then
    mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
else
    mount -t tmpfs tmpfs "$root/sys/fs/cgroup"
    mkdir "$root/sys/fs/cgroup/systemd"
    mount -t cgroup -o none,name=systemd cgroup "$root/sys/fs/cgroup/systemd"
fi
for directory in run tmp dev; do
    mount -t tmpfs tmpfs "$root/$directory"
done
mkdir "$root/dev/pts" "$root/dev/shm" "$root/dev/mqueue" "$root/dev/hugepages"
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
for device in null:3 zero:5 full:7 random:8 urandom:9; do
    mknod -m 666 "$root/dev/${device%:*}" c 1 "${device#*:}"
done
mknod -m 666 "$root/dev/tty" c 5 0
ip link set lo up

cd "$root"
mkdir old
pivot_root . old
umount -l /old
mount --make-rshared / # as systemd does where it does not find itself in a container
exec env -i container=lamson-test PATH=/usr/sbin:/usr/bin:/sbin:/bin \
    /lib/systemd/systemd systemd.unit=multi-user.target
