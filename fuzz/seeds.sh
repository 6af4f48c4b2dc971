#!/bin/sh
# Makes the seed corpus: a fifth of a second of every kind of file, with the target's choice byte in front.
set -eu
cd "$(dirname "$0")"
out=corpus/decode
work=$(mktemp -d)
trap 'rm -r "$work"' EXIT
mkdir -p "$out"

make() {
    name=$1
    shift
    ffmpeg -hide_banner -loglevel error -nostdin -y \
        -f lavfi -i "sine=440:d=0.2" -f lavfi -i "anoisesrc=d=0.2:a=0.2" \
        -filter_complex "[0][1]amerge=inputs=2,aresample=${rate:-44100}[a]" -map "[a]" \
        -metadata title=Song -metadata artist=Us "$@" "$work/$name"
    { printf '\001'; cat "$work/$name"; } > "$out/$name"
}

make u8.wav -c:a pcm_u8
make s24.wav -c:a pcm_s24le
make f64.wav -c:a pcm_f64le
make rf64.wav -c:a pcm_s16le -rf64 always
make s16.flac -sample_fmt s16
make s24.flac -sample_fmt s32
make be16.aiff -c:a pcm_s16be -write_id3v2 1
make alac.m4a -c:a alac
make aac.m4a -c:a aac
make fragmented.m4a -c:a aac -movflags frag_keyframe+empty_moov -frag_duration 50000
make adts.aac -c:a aac
make vorbis.ogg -c:a libvorbis
make surround.ogg -ac 6 -c:a libvorbis
make flac.ogg -c:a flac
make opus.ogg -c:a libopus -ar 48000
make cbr.mp3 -c:a libmp3lame -b:a 128k
make vbr.mp3 -c:a libmp3lame -q:a 4 -ac 1
make untagged.mp3 -c:a libmp3lame -write_xing 0 -id3v2_version 0 -write_id3v1 1
rate=16000 make low.mp3 -c:a libmp3lame -b:a 32k
ls "$out" | wc -l
