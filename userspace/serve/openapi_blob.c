// SPDX-License-Identifier: GPL-2.0-or-later
/* The description of the interface, as it stands in the tree. The compiler runs in the tree's root. */
#include "serve/router.h"

__asm__(".section .rodata\n"
	".global openapi_json, openapi_json_end\n"
	"openapi_json:\n"
	".incbin \"userspace/serve/openapi.json\"\n"
	"openapi_json_end:\n"
	".byte 0\n"
	".previous\n");
