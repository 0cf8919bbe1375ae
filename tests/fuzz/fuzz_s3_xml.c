/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_s3_xml - whatever a store may answer; an unescaped text is escaped and must come back.
 */
#include <stdint.h>

#include "common/check.h"
#include "s3/s3_clock.h"
#include "s3/s3_xml.h"

#define TEXT_MAX 4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void back_and_forth(struct str text)
{
	AUTO_FINI(buf) escaped = buf_limit(6 * TEXT_MAX);
	AUTO_FINI(buf) back = buf_limit(TEXT_MAX);

	s3_xml_escape(&escaped, text);
	CHECK(s3_xml_unescape(buf_str(&escaped), &back));
	CHECK(str_equal(buf_str(&back), text));
}

static void blocks(struct str xml)
{
	struct str inner;
	int64_t at;

	while (s3_xml_next_block(&xml, "Upload", &inner)) {
		AUTO_FINI(buf) text = buf_limit(TEXT_MAX);

		CHECK(inner.at + inner.len < xml.at);
		if (s3_xml_find(inner, "Initiated", &text))
			(void)s3_clock_parse_iso(buf_text(&text), &at);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str xml = str_from(data, size);
	struct str raw;

	(void)s3_xml_is(xml, "Error");
	blocks(xml);
	while (s3_xml_next(&xml, "Key", &raw)) {
		AUTO_FINI(buf) text = buf_limit(TEXT_MAX);

		CHECK(xml.at + xml.len == (const char *)data + size);
		if (s3_xml_unescape(raw, &text))
			back_and_forth(buf_str(&text));
	}
	return 0;
}
