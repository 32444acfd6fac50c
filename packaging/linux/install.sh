#!/bin/sh
# Puts OptLab into its place, or takes it away again. Nothing else is changed, and the runs in your data folder are never touched.
#
#   ./install.sh                    for you alone, below ~/.local
#   ./install.sh --prefix /usr/local   for everybody (as root)
#   ./install.sh --uninstall        take it away (with the same --prefix)
set -eu

here=$(cd "$(dirname "$0")" && pwd)
prefix=$HOME/.local
remove=no
while [ $# -gt 0 ]; do
    case $1 in
        --prefix) [ $# -gt 1 ] || { echo "--prefix needs a folder." >&2; exit 2; }; prefix=$2; shift ;;
        --uninstall) remove=yes ;;
        -h | --help) sed -n '2,6s/^# \{0,1\}//p' "$0"; exit 0 ;;
        *) echo "install.sh knows no option $1; see install.sh --help." >&2; exit 2 ;;
    esac
    shift
done

refresh() {
    if command -v update-desktop-database >/dev/null; then update-desktop-database -q "$prefix/share/applications" || true; fi
    if command -v update-mime-database >/dev/null; then update-mime-database "$prefix/share/mime" >/dev/null 2>&1 || true; fi
    if command -v gtk-update-icon-cache >/dev/null; then gtk-update-icon-cache -q -t "$prefix/share/icons/hicolor" 2>/dev/null || true; fi
}

take_away() {
    rm -rf "$prefix/lib/optlab"
    rm -f "$prefix/bin/optlab"
    (cd "$here/share" && find . -type f) | while read -r file; do rm -f "$prefix/share/$file"; done
}

if [ "$remove" = yes ]; then
    take_away
    refresh
    echo "OptLab is removed from $prefix; your runs are where they were."
    exit 0
fi

mkdir -p "$prefix/lib" "$prefix/bin" "$prefix/share" || { echo "$prefix cannot be written to; choose another folder with --prefix." >&2; exit 1; }
take_away
cp -R "$here/lib/optlab" "$prefix/lib/optlab"
ln -s "$prefix/lib/optlab/optlab" "$prefix/bin/optlab"
(cd "$here/share" && find . -type f) | while read -r file; do
    mkdir -p "$prefix/share/$(dirname "$file")"
    cp "$here/share/$file" "$prefix/share/$file"
done
# A desktop need not look for programs in ~/.local/bin.
sed -i "s|^Exec=optlab |Exec=\"$prefix/bin/optlab\" |" "$prefix/share/applications/optlab.desktop"
refresh
echo "OptLab is installed: find it in the menu, or type $prefix/bin/optlab."
missing=$(ldd "$prefix"/lib/optlab/_internal/PySide6/Qt/plugins/platforms/libqxcb.so 2>/dev/null | sed -n 's/^[[:space:]]*\(lib[^ ]*\) => not found.*/\1/p' | sort -u | tr '\n' ' ')
if [ -n "$missing" ]; then
    echo "For its window this system still needs: $missing(your package manager has them)."
fi
