/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_http_frame - frames of a channel, and the heads of answers in them, as both sides read them.
 *
 * What is read is written as it came: a frame has one form. A head that is believed has a status, and fields that a header list takes.
 */
#include <string.h>

#include "common/check.h"
#include "common/http_answer.h"
#include "common/http_frame.h"

static void read_answer(struct str bytes)
{
	struct http_answer answer;
	struct error err = { .text = "" };

	if (!http_answer_parse(bytes, &answer, &err)) {
		CHECK(err.text[0]);
		return;
	}
	CHECK(answer.status >= 100 && answer.status <= 999 && answer.length >= -1);
	CHECK(http_headers_len(answer.headers) <= 200);
	http_headers_free(answer.headers);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str rest = str_from(data, size);
	struct http_frame frame;
	struct error err = { .text = "" };

	read_answer(rest);
	for (;;) {
		const char *from = rest.at;
		enum http_frame_step step = http_frame_next(&rest, &frame, &err);
		AUTO_FINI(buf) again = buf_limit(HTTP_FRAME_MAX + HTTP_FRAME_HEAD);
		if (step == HTTP_FRAME_BAD)
			CHECK(err.text[0]);
		if (step != HTTP_FRAME_WHOLE)
			return 0;
		CHECK(frame.bytes.len <= HTTP_FRAME_MAX && frame.room <= HTTP_FRAME_WINDOW);
		http_frame_put(&frame, &again);
		CHECK(again.len == (size_t)(rest.at - from) && memcmp(again.at, from, again.len) == 0);
		read_answer(frame.bytes);
	}
}
