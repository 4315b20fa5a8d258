/*
 * The reference that AMR is compared with: opencore-amr, as a process.
 *
 *   opencore encode MODE DTX    16-bit samples -> frames
 *   opencore decode             frames -> 16-bit samples
 *
 * A frame is as in a file (RFC 4867 section 5.3): an octet with its type, then its bits.
 */
#include <opencore-amrnb/interf_dec.h>
#include <opencore-amrnb/interf_enc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SAMPLES 160

/* Octets of a frame of each type, less the first. */
static const int octets[16] = {12, 13, 15, 17, 19, 20, 26, 31, 5, 0, 0, 0, 0, 0, 0, 0};

static int encode(enum Mode mode, int dtx)
{
    void *state = Encoder_Interface_init(dtx);
    short samples[SAMPLES];
    unsigned char frame[64];

    while (fread(samples, sizeof *samples, SAMPLES, stdin) == SAMPLES) {
        int length = Encoder_Interface_Encode(state, mode, samples, frame, 0);
        if (length <= 0)
            return 1;
        fwrite(frame, 1, length, stdout);
    }
    Encoder_Interface_exit(state);
    return 0;
}

static int decode(void)
{
    void *state = Decoder_Interface_init();
    unsigned char frame[64];
    short samples[SAMPLES];
    int type;

    while ((type = getchar()) != EOF) {
        size_t length = octets[type >> 3 & 15];
        frame[0] = type;
        if (fread(frame + 1, 1, length, stdin) != length)
            return 1;
        Decoder_Interface_Decode(state, frame, samples, 0);
        fwrite(samples, sizeof *samples, SAMPLES, stdout);
    }
    Decoder_Interface_exit(state);
    return 0;
}

int main(int count, char **arguments)
{
    if (count == 4 && !strcmp(arguments[1], "encode"))
        return encode(atoi(arguments[2]), atoi(arguments[3]));
    if (count == 2 && !strcmp(arguments[1], "decode"))
        return decode();
    return 2;
}
