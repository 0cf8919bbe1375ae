/* SPDX-License-Identifier: Apache-2.0 */
#include "common/http_chunks.h"

#include <string.h>

#include "common/check.h"

enum outcome { TAKEN, WRONG, TOO_LONG, TOO_MUCH };

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static bool is_text(char c)
{
	unsigned char u = (unsigned char)c;

	return u == '\t' || (u >= ' ' && u != 0x7f);
}

static enum outcome at_size(struct http_chunks *chunks, char c)
{
	int digit = hex_digit(c);

	if (digit >= 0) {
		if (chunks->left > HTTP_LENGTH_MAX / 16)
			return TOO_MUCH;
		chunks->left = chunks->left * 16 + (unsigned)digit;
		chunks->digits++;
		return TAKEN;
	}
	if (chunks->digits == 0 || (c != ';' && c != '\r'))
		return WRONG;
	chunks->state = c == ';' ? HTTP_CHUNKS_EXTENSION : HTTP_CHUNKS_SIZE_LF;
	return TAKEN;
}

static enum outcome at_size_end(struct http_chunks *chunks, char c)
{
	if (c != '\n')
		return WRONG;
	chunks->state = chunks->left > 0 ? HTTP_CHUNKS_BYTES : HTTP_CHUNKS_TRAILER_NAME;
	chunks->line = chunks->digits = chunks->name = 0;
	return TAKEN;
}

static enum outcome at_trailer_name(struct http_chunks *chunks, char c)
{
	if (c == '\r' && chunks->name == 0)
		chunks->state = HTTP_CHUNKS_LAST_LF;
	else if (c == ':' && chunks->name > 0)
		chunks->state = HTTP_CHUNKS_TRAILER_VALUE;
	else if (http_is_token_char(c))
		chunks->name++;
	else
		return WRONG;
	return TAKEN;
}

/* Something stands behind a ';'. */
static enum outcome at_extension(struct http_chunks *chunks, char c)
{
	chunks->name += c != ' ' && c != '\t' && c != '\r' && c != ';';
	if (c == '\r' || c == ';') {
		if (chunks->name == 0)
			return WRONG;
		chunks->name = 0;
		chunks->state = c == '\r' ? HTTP_CHUNKS_SIZE_LF : HTTP_CHUNKS_EXTENSION;
		return TAKEN;
	}
	return is_text(c) ? TAKEN : WRONG;
}

/* After a text comes its CR; after that `next`. */
static enum outcome at_text(struct http_chunks *chunks, char c, enum http_chunks_state next)
{
	if (c == '\r')
		chunks->state = next;
	return c == '\r' || is_text(c) ? TAKEN : WRONG;
}

static enum outcome at_end_of_line(struct http_chunks *chunks, char c, enum http_chunks_state next)
{
	chunks->state = next;
	chunks->name = 0;
	return c == '\n' ? TAKEN : WRONG;
}

static enum outcome take(struct http_chunks *chunks, char c)
{
	bool trailer = chunks->state >= HTTP_CHUNKS_TRAILER_NAME;

	if (++chunks->line > (trailer ? HTTP_TRAILERS_MAX : HTTP_CHUNK_LINE_MAX))
		return TOO_LONG;
	switch (chunks->state) {
	case HTTP_CHUNKS_SIZE:
		return at_size(chunks, c);
	case HTTP_CHUNKS_EXTENSION:
		return at_extension(chunks, c);
	case HTTP_CHUNKS_SIZE_LF:
		return at_size_end(chunks, c);
	case HTTP_CHUNKS_CR:
		chunks->state = HTTP_CHUNKS_LF;
		return c == '\r' ? TAKEN : WRONG;
	case HTTP_CHUNKS_LF:
		chunks->line = 0;
		return at_end_of_line(chunks, c, HTTP_CHUNKS_SIZE);
	case HTTP_CHUNKS_TRAILER_NAME:
		return at_trailer_name(chunks, c);
	case HTTP_CHUNKS_TRAILER_VALUE:
		return at_text(chunks, c, HTTP_CHUNKS_TRAILER_LF);
	case HTTP_CHUNKS_TRAILER_LF:
		return at_end_of_line(chunks, c, HTTP_CHUNKS_TRAILER_NAME);
	case HTTP_CHUNKS_LAST_LF:
		return at_end_of_line(chunks, c, HTTP_CHUNKS_OVER);
	case HTTP_CHUNKS_BYTES:
	case HTTP_CHUNKS_OVER:
		break;
	}
	return WRONG;
}

static enum http_chunks_step bad(enum outcome outcome, struct http_refusal *ret_why)
{
	*ret_why = outcome == TOO_MUCH ? (struct http_refusal){ 413, "a chunk is over 2^62 bytes" }
		   : outcome == TOO_LONG
			   ? (struct http_refusal){ 431,
				     "the line of a chunk may have 256 bytes, all trailers 4 KiB" }
			   : (struct http_refusal){ 400, "the body is not in chunks as RFC 9112 has them: "
							 "<hex size> CR LF <bytes> CR LF" };
	return HTTP_CHUNKS_BAD;
}

enum http_chunks_step http_chunks_next(
	struct http_chunks *chunks, struct str *bytes, struct str *ret_data, struct http_refusal *ret_why)
{
	while (chunks->state != HTTP_CHUNKS_OVER && bytes->len > 0) {
		if (chunks->state == HTTP_CHUNKS_BYTES) {
			size_t len = bytes->len < chunks->left ? bytes->len : (size_t)chunks->left;
			*ret_data = str_from(bytes->at, len);
			return HTTP_CHUNKS_DATA;
		}
		enum outcome outcome = take(chunks, *bytes->at);
		if (outcome != TAKEN)
			return bad(outcome, ret_why);
		*bytes = str_from(bytes->at + 1, bytes->len - 1);
	}
	return chunks->state == HTTP_CHUNKS_OVER ? HTTP_CHUNKS_END : HTTP_CHUNKS_MORE;
}

void http_chunks_took(struct http_chunks *chunks, struct str *bytes, size_t n)
{
	CHECK(chunks->state == HTTP_CHUNKS_BYTES && n <= chunks->left && n <= bytes->len);
	*bytes = str_from(bytes->at + n, bytes->len - n);
	chunks->left -= n;
	if (chunks->left == 0)
		chunks->state = HTTP_CHUNKS_CR;
}
