/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_settings - a settings file of any bytes: taken, or refused with a word about what is wrong; access
 * rules that were taken can be asked.
 */
#include "common/check.h"
#include "proto/access.h"
#include "worker/settings.h"
#include "fuzz_file.h"

static void ask(const struct worker_settings *settings)
{
	AUTO(state) *state = state_new();
	AUTO(access) *access = NULL;
	const struct access_who nobody = { .user = "", .anonymous = true };
	struct error err;

	if (!access_new(&access, settings->access_control, state, false, &err)) {
		CHECK(err.text[0]);
		return;
	}
	(void)access_decide(access, &nobody, STR("library/nginx"), ACTION_READ);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char *const environment[] = { NULL };
	AUTO_FINI(buf) warnings = buf_limit(1 << 20), errors = buf_limit(1 << 20);
	AUTO(settings_memory) *memory = NULL;
	struct worker_settings settings;
	char path[64];
	int fd = fuzz_file(data, size, path);

	if (worker_settings_load(path, environment, &settings, &memory, &warnings, &errors))
		ask(&settings);
	else
		CHECK(errors.len || errors.failed);
	(void)close(fd);
	return 0;
}
