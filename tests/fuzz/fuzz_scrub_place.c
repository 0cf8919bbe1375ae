/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_scrub_place - a place that is taken is one of a repository and a blob, and is read again from what is written of it.
 */
#include "common/buf.h"
#include "common/check.h"
#include "common/json.h"
#include "worker/registry/scrub.h"

static bool read_place(struct str text, struct scrub_place *ret)
{
	AUTO(json_doc) *doc = NULL;
	struct error err;

	return json_parse(text, &doc, &err) && scrub_place_read(json_root(doc), ret);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO_FINI(buf) text = buf_limit(SCRUB_PLACE_TEXT_MAX);
	struct json_writer w = json_writer(&text);
	struct scrub_place place, again;
	struct name name;
	struct error err;

	if (!read_place(str_from(data, size), &place))
		return 0;
	CHECK(!place.name[0] ? !place.in_blobs : name_parse(str_of(place.name), &name, &err));
	scrub_place_write(&place, &w);
	CHECK(!text.failed && read_place(buf_str(&text), &again));
	CHECK(!strcmp(again.name, place.name) && again.in_blobs == place.in_blobs &&
		(!place.in_blobs || digest_equal(&again.last, &place.last)));
	return 0;
}
