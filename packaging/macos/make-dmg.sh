#!/bin/sh
# make-dmg.sh APP DMG: signs the frozen program for this machine and puts it onto a disk image beside a link to the Applications folder.
#
# MACOS_IDENTITY names a Developer ID to sign with; without one the signature is ad hoc, and a user has to confirm the first start.
set -eu
app=$1
image=$2
identity=${MACOS_IDENTITY:--}
if [ "$identity" = - ]; then
    codesign --force --deep --sign - "$app"
else
    codesign --force --deep --options runtime --timestamp --sign "$identity" "$app"
fi
codesign --verify --deep --strict "$app"
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
cp -R "$app" "$tree/"
ln -s /Applications "$tree/Applications"
hdiutil create -volname OptLab -srcfolder "$tree" -ov -format UDZO "$image"
