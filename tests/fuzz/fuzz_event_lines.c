/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_event_lines - the first byte is how long the pieces are: the events are those of the stream in one piece.
 */
#include "common/check.h"
#include "leader/ctl/event_lines.h"

static void note(void *arg, const char *name, struct str data)
{
	CHECK(*name && strlen(name) < EVENT_NAME_MAX && !memchr(data.at, '\n', data.len));
	buf_format(arg, "%zu %s %zu ", strlen(name), name, data.len);
	buf_add(arg, data);
}

static void take(struct str stream, size_t size, struct buf *told)
{
	AUTO_FINI(event_lines) lines;

	event_lines_init(&lines, note, told);
	while (stream.len) {
		struct str piece = str_from(stream.at, stream.len < size ? stream.len : size);

		CHECK(event_lines_take(&lines, piece, NULL));
		stream = str_from(stream.at + piece.len, stream.len - piece.len);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO_FINI(buf) whole = buf_limit(64u * 1024 * 1024);
	AUTO_FINI(buf) pieces = buf_limit(64u * 1024 * 1024);
	struct str stream;

	if (size < 1)
		return 0;
	stream = str_from((const char *)data + 1, size - 1);
	take(stream, stream.len + 1, &whole);
	take(stream, data[0] + 1u, &pieces);
	CHECK(str_equal(buf_str(&whole), buf_str(&pieces)));
	return 0;
}
