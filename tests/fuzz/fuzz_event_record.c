/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_event_record - any bytes as a record of the queue of events; what is taken is written and read again, and each of its events can be told.
 */
#include "common/check.h"
#include "worker/events/event_text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct event_terms terms = { NULL, NULL, "x" };
	AUTO_FINI(buf) bytes = buf_limit(2 * EVENT_RECORD_MAX), text = buf_limit(8 * EVENT_RECORD_MAX);
	struct event_reading reading, again;
	struct event event;

	if (size > EVENT_RECORD_MAX || !event_record_read(str_from(data, size), &reading, NULL))
		return 0;
	event_record_write(&reading.record, &bytes);
	CHECK(!bytes.failed && event_record_read(buf_str(&bytes), &again, NULL));
	CHECK(event_record_events(&again.record) == event_record_events(&reading.record));
	for (size_t i = 0; i < event_record_events(&again.record) && i < 4; i++) {
		AUTO(http_headers) *headers = http_headers_new();

		event_record_event(&again.record, i, &event);
		buf_clear(&text);
		event_text_data(&again.record, &event, STR("{}"), &text);
		(void)!event_text_headers(&terms, &again.record, &event, headers);
	}
	event_reading_fini(&again);
	event_reading_fini(&reading);
	return 0;
}
