# Gets an emulator and a kernel for it, and makes an initial RAM disk: about 85 MB
# of packages, by their names, unpacked and not installed. Arguments: where to,
# the script that becomes the RAM disk's first process.
set -eu
umask 022
dir=$1 init=$2
rm -rf "$dir"
mkdir -p "$dir/packages" "$dir/root" "$dir/ram/bin" "$dir/ram/modules"
cd "$dir/packages"
kernel=$(apt-cache depends linux-image-amd64 | awk '/Depends:/ { print $2; exit }')
needed=$(apt-get install --simulate --no-install-recommends qemu-system-x86 |
    awk '/^Inst/ { print $2 }')
# shellcheck disable=SC2086
apt-get download -q -o APT::Sandbox::User=root $(printf '%s\n' $needed "$kernel" \
    qemu-system-x86 qemu-system-common qemu-system-data seabios \
    busybox-static kmod libkmod2 cpio | sort -u)
for package in *.deb; do
    dpkg-deb -x "$package" "$dir/root"
done
rm -rf "$dir/packages"

libraries=$dir/root/usr/lib/x86_64-linux-gnu:$dir/root/lib/x86_64-linux-gnu
kmod() { (export LD_LIBRARY_PATH="$libraries"; exec -a "$1" "$dir/root/bin/kmod" "${@:2}"); }
version=$(ls "$dir/root/lib/modules")
kmod depmod -b "$dir/root" "$version"
kmod modprobe -d "$dir/root" -S "$version" --show-depends -a \
    virtio_pci 9pnet_virtio 9p overlay | awk '/^insmod/ && !seen[$2]++ { print $2 }' |
    while read -r module; do
        cp "$module" "$dir/ram/modules/"
        basename "$module" >>"$dir/ram/modules/order"
    done
cp "$dir/root/bin/busybox" "$dir/ram/bin/busybox"
printf '%s\n' "$init" >"$dir/ram/init"
chmod 755 "$dir/ram/init"
(cd "$dir/ram" && find . | "$dir/root/bin/cpio" -o -H newc --quiet) | gzip -1 >"$dir/initrd"
cp "$dir/root/boot/vmlinuz-$version" "$dir/kernel"
rm -rf "$dir/ram" "$dir/root/lib/modules" "$dir/root/boot"
: >"$dir/ready"
