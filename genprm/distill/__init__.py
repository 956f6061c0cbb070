"""From labelled solutions to critique targets: write, filter by agreement, balance, render."""

from genprm.distill.agreement import WrittenCritique, agrees, writer_first_error
from genprm.distill.balance import Balanced, ClassCounts, balance
from genprm.distill.targets import DistilledSolution, distill_solution, targets_for
from genprm.distill.writers import CritiqueWriter, RuleWriter, TeacherWriter

__all__ = [
    "Balanced",
    "ClassCounts",
    "CritiqueWriter",
    "DistilledSolution",
    "RuleWriter",
    "TeacherWriter",
    "WrittenCritique",
    "agrees",
    "balance",
    "distill_solution",
    "targets_for",
    "writer_first_error",
]
