/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gzip - zlib over whole buffers; output goes straight into the caller's, piece by piece.
 */
#include "common/gzip.h"

#include <limits.h>
#define ZLIB_CONST /* input is const, as it should be */
#include <zlib.h>

#include "common/check.h"
#include "common/gentle.h"

#define PIECE       (32u * 1024)
#define GZIP_WINDOW (15 + 16) /* zlib's spelling of "the largest window, gzip's frame" */

static voidpf allocate(voidpf opaque, uInt n, uInt size)
{
	(void)opaque;
	return calloc(n, size);
}

static void release(voidpf opaque, voidpf at)
{
	(void)opaque;
	free(at);
}

static z_stream stream_start(void)
{
	return (z_stream){ .zalloc = allocate, .zfree = release };
}

/* zlib counts in 32 bits: hands over the next part of the input. */
static void feed(z_stream *z, struct str *left)
{
	size_t n = left->len < INT_MAX ? left->len : INT_MAX;

	if (z->avail_in || n == 0)
		return;
	z->next_in = (const uint8_t *)left->at;
	z->avail_in = (uInt)n;
	*left = str_from(left->at + n, left->len - n);
}

/* Room for the next piece of output; at the limit a spare byte tells whether there is more. */
static bool offer(z_stream *z, struct buf *into, uint8_t *spare)
{
	size_t left = into->max - into->len, n = left < PIECE ? left : PIECE;
	char *at = n ? buf_reserve(into, n) : NULL;

	if (n && !at)
		return false;
	z->next_out = at ? (uint8_t *)at : spare;
	z->avail_out = at ? (uInt)n : 1;
	return true;
}

/* Counts what came out; false when it went into the spare byte. */
static bool took(const z_stream *z, struct buf *into, const uint8_t *spare)
{
	size_t used;

	if (z->next_out == spare || z->next_out == spare + 1)
		return z->next_out == spare;
	used = (size_t)(z->next_out - (uint8_t *)(into->at + into->len));
	buf_grew(into, used);
	return true;
}

static bool too_large(struct buf *into, const char *what, struct error *err)
{
	return error_set(err, ERROR_TOO_LARGE, NULL, "%s: over %zu bytes", what, into->max);
}

static void take_back(struct buf *into, size_t len)
{
	into->len = len;
	if (into->at)
		into->at[len] = '\0';
}

/* ---- in ---- */

static bool deflate_all(z_stream *z, struct str bytes, struct buf *into, struct error *err)
{
	uint8_t spare;
	int step;

	do {
		gentle_step();
		feed(z, &bytes);
		if (!offer(z, into, &spare))
			return too_large(into, "gzip", err);
		step = deflate(z, bytes.len ? Z_NO_FLUSH : Z_FINISH);
		if (!took(z, into, &spare))
			return too_large(into, "gzip", err);
	} while (step == Z_OK || step == Z_BUF_ERROR);
	return step == Z_STREAM_END || error_set(err, ERROR_INTERNAL, NULL, "gzip: zlib says %d", step);
}

bool gzip_compress(struct str bytes, int level, struct buf *into, struct error *err)
{
	z_stream z = stream_start();
	size_t before = into->len;
	bool good;

	CHECK(level >= 0 && level <= 9);
	if (deflateInit2(&z, level, Z_DEFLATED, GZIP_WINDOW, 8, Z_DEFAULT_STRATEGY) != Z_OK)
		return error_set(err, ERROR_INTERNAL, NULL, "gzip: no memory");
	good = deflate_all(&z, bytes, into, err);
	(void)deflateEnd(&z);
	if (!good)
		take_back(into, before);
	return good;
}

/* ---- out ---- */

/* One member of the file. No progress without more input means that the input is cut. */
static bool inflate_member(z_stream *z, struct str *bytes, struct buf *into, struct error *err)
{
	uint8_t spare;
	int step;

	do {
		gentle_step();
		feed(z, bytes);
		if (!offer(z, into, &spare))
			return too_large(into, "gunzip", err);
		step = inflate(z, Z_NO_FLUSH);
		if (!took(z, into, &spare))
			return too_large(into, "gunzip", err);
	} while (step == Z_OK);
	if (step == Z_STREAM_END)
		return true;
	if (step == Z_BUF_ERROR)
		return error_set(err, ERROR_INVALID, NULL, "gunzip: the data ends early");
	return error_set(err, step == Z_MEM_ERROR ? ERROR_INTERNAL : ERROR_INVALID, NULL, "gunzip: %s",
		z->msg ? z->msg : "not gzip");
}

/* A gzip file is a row of members, RFC 1952, 2.2. */
static bool inflate_all(z_stream *z, struct str bytes, struct buf *into, struct error *err)
{
	for (;;) {
		if (!inflate_member(z, &bytes, into, err))
			return false;
		if (!z->avail_in && !bytes.len)
			return true;
		if (inflateReset(z) != Z_OK)
			return error_set(err, ERROR_INTERNAL, NULL, "gunzip: cannot start over");
	}
}

bool gzip_expand(struct str bytes, struct buf *into, struct error *err)
{
	z_stream z = stream_start();
	size_t before = into->len;
	bool good;

	if (inflateInit2(&z, GZIP_WINDOW) != Z_OK)
		return error_set(err, ERROR_INTERNAL, NULL, "gunzip: no memory");
	good = inflate_all(&z, bytes, into, err);
	(void)inflateEnd(&z);
	if (!good)
		take_back(into, before);
	return good;
}

const char *gzip_library(void)
{
	return zlibVersion();
}
