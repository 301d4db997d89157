# (Behind `disk.sh`.) The first process of the RAM disk: this machine's disk, read
# only, below one that is thrown away.
/bin/busybox mkdir -p /proc /sys /dev /below /above /new
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
while read -r module; do
    insmod "/modules/$module"
done </modules/order
p9=trans=virtio,version=9p2000.L,msize=524288
mount -t 9p -o "$p9,ro,cache=loose" disk /below || poweroff -f
mount -t tmpfs -o size=75% above /above
mkdir /above/upper /above/work
mount -t overlay -o lowerdir=/below,upperdir=/above/upper,workdir=/above/work disk /new
other_machine /new
mkdir -p /new/srv/requests /new/etc/systemd/system/multi-user.target.wants
mount -t 9p -o "$p9,rw,cache=none" requests /new/srv/requests
# The list of mounts asks for them otherwise, and the disk below has its own.
for dir in run tmp; do
    mount -t tmpfs -o mode=755 tmpfs "/new/$dir"
done
chmod 1777 /new/tmp
echo '[Service]
ExecStart=/bin/bash /srv/requests/serve.sh' >/new/etc/systemd/system/requests.service
ln -s ../requests.service /new/etc/systemd/system/multi-user.target.wants/
umount /proc /sys /dev
exec switch_root /new /lib/systemd/systemd
