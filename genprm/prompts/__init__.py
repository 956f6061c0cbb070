"""Everything that knows the grammar of a prompt pack: packs, prompts, verdicts."""

from __future__ import annotations

from genprm.prompts.packs import PromptPack, load_pack

__all__ = ["PromptPack", "load_pack"]
