# SPDX-License-Identifier: Apache-2.0
# cmake -DINTO=<file> -P commit.cmake, in the source folder: writes the commit that is built, if it is another one than before.
cmake_minimum_required(VERSION 3.25)
execute_process(COMMAND git rev-parse --short=12 HEAD OUTPUT_VARIABLE commit OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
execute_process(COMMAND git status --porcelain --untracked-files=no OUTPUT_VARIABLE changes ERROR_QUIET)
if(commit AND changes)
	set(commit "${commit}+")
endif()
file(CONFIGURE OUTPUT ${INTO} CONTENT "#define ZOT_COMMIT \"@commit@\"\n" @ONLY)
