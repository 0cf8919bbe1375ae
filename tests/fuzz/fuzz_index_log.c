/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_index_log - a log read from the disk: what its whole frames say can be written as index.json and read
 * again.
 */
#include "common/check.h"
#include "worker/storage/frames.h"
#include "worker/storage/index_priv.h"

static void survives(struct index *index)
{
	AUTO_FINI(buf) text = buf_limit(INDEX_JSON_MAX);
	AUTO(index) *again = NULL;

	CHECK(index_json_write(index, &text, NULL));
	CHECK(index_json_read(buf_str(&text), &again, NULL));
	CHECK(index_tags_len(again) == index_tags_len(index) && index_len(again) == index_len(index));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str bytes = str_from((const char *)data, size), text = bytes, line;
	AUTO_FINI(buf) frames = buf_limit(1 << 20);
	AUTO(index) *index = index_new();

	/* As it is, and each line as a true frame: checksums are hard to guess. */
	index_log_apply(index, str_from(bytes.at, frames_len(bytes)), NULL, NULL);
	while (str_until(&text, '\0', &line))
		if (line.len)
			frame_add(&frames, line);
	if (text.len)
		frame_add(&frames, text);
	CHECK(frames_len(buf_str(&frames)) == frames.len);
	index_log_apply(index, buf_str(&frames), NULL, NULL);
	survives(index);
	return 0;
}
