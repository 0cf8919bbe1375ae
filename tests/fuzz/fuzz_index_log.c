/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_index_log - a log read from the disk: what its whole frames say can be written as index.json and read
 * again.
 */
#include "common/check.h"
#include "worker/storage/frames.h"
#include "worker/index/index_priv.h"

static void survives(struct index *index)
{
	AUTO_FINI(buf) text = buf_limit(INDEX_JSON_MAX);
	AUTO(index) *again = NULL;

	CHECK(index_json_write(index, &text, NULL));
	CHECK(index_json_read(buf_str(&text), &again, NULL));
	CHECK(index_tags_len(again) == index_tags_len(index) && index_len(again) == index_len(index));
}

static void on_change(void *arg, const struct change_id *id)
{
	(void)id;
	(*(unsigned *)arg)++;
}

static void on_manifest(void *arg, const struct digest *digest, struct str bytes)
{
	(void)arg;
	CHECK(hash_size(digest->alg) && bytes.len);
}

static void walk_chain(struct str bytes)
{
	struct frame_chain chain = frame_chain_begin(STR("fuzz"));
	struct str payload = STR_NONE;

	while (frame_chain_next(&bytes, &chain, &payload) != FRAME_NONE)
		continue;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str bytes = str_from((const char *)data, size), text = bytes, line;
	AUTO_FINI(buf) frames = buf_limit(1 << 20);
	AUTO(index) *index = index_new();
	unsigned changes = 0;

	/* As it is, and each line as a true frame: checksums are hard to guess. */
	(void)!index_log_apply(index, str_from(bytes.at, frames_len(bytes)), NULL, NULL, NULL);
	while (str_until(&text, '\0', &line))
		if (line.len)
			frame_add(&frames, line);
	if (text.len)
		frame_add(&frames, text);
	CHECK(frames_len(buf_str(&frames)) == frames.len);
	(void)!index_log_apply(index, buf_str(&frames), on_change, &changes, NULL);
	index_log_manifests(buf_str(&frames), on_manifest, NULL);
	walk_chain(bytes);
	survives(index);
	return 0;
}
