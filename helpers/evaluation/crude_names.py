"""Crude words, and names to try a filter on: kept in ROT13, so that nobody reads them who did not mean to.

ROT13 puts each letter 13 places on; it hides nothing from a person who wants to know (``codecs.decode(…, "rot13")``).
:mod:`helpers.evaluation.filters` uses the words, the lesson Models that keep secrets counts the names.
"""

import codecs

# Refused inside other words, too; as a word by itself, with an ending, or joined to a colour; and what is harmless.
ANYWHERE = "fuvg shpx phag ovgpu juber fyhg qvneeu ibzvg obbtre"
WHOLE = (
    "cbb cbbc chxr cvff crr hevar fabg ones gheq penc srprf snrprf rkperzrag qhat sneg nff nefr gvg obbo "
    "pbpx qvpx cravf intvan jnax onfgneq obyybpx gjng phz wvmm avttre avttn snttbg ergneq ohgg ohz pebgpu "
    "nahf cuhpx shx ohttre frzra fpebghz grfgvpyr cevpx chffl genaal xvxr tbbx jrgonpx pbba fcnfgvp"
)
HARMLESS = "fuvvgnxr fphagubecr ohggre"

# Written down before the filter saw them, by the person who wrote the filter; three groups that are crude, one not.
EXAMPLES = {
    "as people write them": (
        "fuvgr terra|cbbcl qvncre|qvegl fuvg|chxr benatr|ibzvg oebja|oveq fuvg juvgr|cbbbbbc oebja|cvff|cvffrq bs"
        "s lryybj|ubefr cvff|fabg ebpxrg terra|obbtre lryybj|onesl terra|penccl benatr|gheq oebja|qbt gheq|png ib"
        "zvg terra|qvneeubrn oebja|rkcybfvir qvneeurn|shpxva htyl|zbgureshpxre oebja|nffung benatr|qhzonff terra|"
        "ovgpu cvax|onfgneq oebja|phag cvax|qvpx cvax|pbpx cvax|cravf cvax|jnaxre oyhr|gvgf cvax|obbof|juber erq|"
        "fyhg erq|obyybpxf oebja|oybbql fuvg|zbaxrl cbb|cbb cbb|crr lryybj|crr|hevar lryybj|sneg terra|snegl oebj"
        "a|srprf oebja|qhat oebja|pebgpu cvax|ohgg|ohz cvax|fabggvfu"
    ),
    "disguised": (
        "c0bc oebja|5u1g|c.b.b.c|p e n c|s*px orvtr|shhhhpx|cuhpx|n f f|o1gpu|fuvgoebja|cbboebja|chxrterra|oebjac"
        "bb|onol fu!g|fu vg|рbbc|fuvg/oebja|FUVG|fuv g|f uvg|f_u_v_g|fu_g|$u1g oebja|5u!7|ѕuіg|cοbc|gvuf|c/b/b/c|"
        "ｐｏｏｐ|cb0c|fuïg|f.u.1.g|c h x r|chhhhxr|ibzv+|i0z1g|crjx terra|furrvg|p-e-n-c|cvf$|peɑc|cbb_cbb|sphx erq|"
        "cu*px|gheqterra"
    ),
    "not on the list": (
        "zreqr oebja|fpurvffr oebja|pnpn oebja|qbb qbb oebja|hcpuhpx terra|cuyrtz lryybj|zhphf terra|obare cvax|f"
        "zrtzn juvgr|fcuvapgre cvax|ubbxre erq|oryyraq checyr|ahzore gjb oebja|gur ehaf|fcrj benatr|uhey terra|yb"
        "btvr terra|chf lryybj|znaher oebja|fgbby oebja|avccyr cvax|rnejnk lryybj|nezcvg oebja|zvreqn oebja|fpujh"
        "pugry cvax"
    ),
    "harmless": (
        "pbpbn|oybbqfgbar|ohggba oyhr|ohggre lryybj|ohggrephc|ohzoyrorr lryybj|qhatnarr qravz|cnffvba sehvg|cnffv"
        "basybjre|rzonffl oyhr|pbzcnff oyhr|tynff terra|oenff|frntenff|fnffnsenf|pnffvf|znffnpuhfrggf|jnffnvy|crn"
        "pu|crryvat cnvag|crry|fcrrqjryy oyhr|crrcf lryybj|nanylfvf|pnagnybhcr|pnany|fuvgnxr|cnefuvgr|gheqhf oyhr"
        "|fgheql oebja|fngheqnl|pencnhq terra|fpenc zrgny|fpencre|cvffneeb terra|cvffrayvg|chxrxb oyhr|fcbbx|cbby"
        " oyhr|cbbyfvqr|unecbba|enppbba|juvccbbejvyy|cbbe xavtug|cbgngb|gvgur onea|gvgvna|crgvg sbhe|fgvgpu|pbafg"
        "vghgvba|nccrgvgr|pbpxyr|pbpxfpbzo|unapbpx terra|jbbqpbpx|uvgpupbpx|jrngurepbpx|qvpxpvffry|zbol qvpx juvg"
        "r|cravfgbar|crapvy|cravafhyn oyhr|nefrany erq|nefravp terra|cnefyrl|sneguvat|erzoenaqg|onesyrhe|fphagube"
        "cr fgrry|yvtugjngre|pyvgurebr fgbar|avtre|avtryyn oyhr|avtrevn terra|favttre|fcvpr|fcvpl zhfgneq|puvax b"
        "s yvtug|penpxre|cevpxyl crne|cevpxyr terra|ubnel|jubey|uryyb lryybj|uryy|qnzfba|frkgba orrgyr|frkgnag|zv"
        "qqyrfrk|ubzb fncvraf|phzhyhf|qbphzrag|pvephzsrerapr|npphzhyngr|fhssbyx cvax|shphf|shpufvn|furgynaq|fuhg|"
        "fubg fvyx|fuvc|fabhg|obbtvr avtug|obtrl|ibzre|ovyoreel|cvfgba|onffrg|nffrg|nffbegrq|nffnffva erq|nfflevn"
        "a|phzoreynaq|ohggresyl|ohggr|ohggerff|ohzcre"
    ),
}


def words(stems: str) -> list[str]:
    """The words of ``ANYWHERE``, ``WHOLE`` or ``HARMLESS``, readable."""
    return codecs.decode(stems, "rot13").split()


def examples() -> dict[str, list[str]]:
    """Names to try a filter on, group -> names; those of all groups but "harmless" are crude."""
    return {group: codecs.decode(names, "rot13").split("|") for group, names in EXAMPLES.items()}
