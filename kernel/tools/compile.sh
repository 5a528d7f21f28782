#!/bin/sh
# Compiles a file, unless another profile has an object of the very same text: profiles differ in an option or two, which most files
# never ask for.
#
#     compile.sh build/PROFILE -c FILE.cpp -o build/PROFILE/FILE.o g++ FLAGS...
#
# What the text is, the preprocessor says. FILE.sum keeps the checksum of text and flags; it is there only while FILE.o belongs to it.
set -eu
out=$1 source=$3 object=$5
shift 5
name=${object#"$out"/}
name=${name%.o}
text=$out/$name.ii
mkdir -p "${object%/*}"
rm -f "$out/$name.sum"

"$@" -MMD -MP -MF "$out/$name.d" -MT "$object" -E "$source" -o "$text"
# The folder of config.h has the profile's name, and says nothing.
sum=$({ sed "s|\"$out/generated/|\"|" "$text"; printf '%s\n' "$*" | sed "s|$out/||g"; } | sha256sum)
rm -f "$text"

for other in build/*/"$name.sum" "${out%/*}"/*/"$name.sum"; do
    { read -r theirs < "$other"; } 2>/dev/null && [ "$theirs" = "$sum" ] || continue
    cp "${other%.sum}.o" "$object.new" 2>/dev/null || continue
    # Still theirs, or compiled anew meanwhile by somebody who builds that profile?
    { read -r theirs < "$other"; } 2>/dev/null && [ "$theirs" = "$sum" ] || continue
    mv "$object.new" "$object"
    printf '%s\n' "$sum" > "$out/$name.sum"
    exit
done
rm -f "$object.new"
"$@" -c "$source" -o "$object"
printf '%s\n' "$sum" > "$out/$name.sum"
