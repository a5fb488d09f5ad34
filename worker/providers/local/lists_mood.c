/* Words that praise and words that complain. */
#include "worker/providers/local/lexicon.h"

#define GOOD                                                                                       \
    "good great excellent amazing wonderful fantastic perfect love loved loves like liked "        \
    "enjoy enjoyed happy pleased delighted satisfied best better nice friendly helpful easy "      \
    "fast reliable recommend recommended beautiful brilliant superb awesome thank thanks "         \
    "success successful impressive positive comfortable clean fresh delicious win won "            \
    "improved gain gut gute guter gutes guten toll tolle super ausgezeichnet hervorragend "        \
    "wunderbar perfekt liebe zufrieden glücklich freundlich hilfreich schnell zuverlässig "      \
    "empfehlen empfehle schön schöne danke erfolg erfolgreich bester beste besten "              \
    "begeistert sauber lecker positiv bon bonne bons bonnes excellente parfait parfaite "          \
    "merveilleux magnifique aime adore content contente heureux heureuse satisfait "               \
    "satisfaite agréable rapide fiable recommande superbe merci succès réussi meilleur "        \
    "meilleure génial bueno buena buenos buenas excelente perfecto perfecta maravilloso "         \
    "fantástico encanta gusta feliz contento contenta satisfecho amable útil rápido "           \
    "fiable recomiendo hermoso gracias éxito mejor genial buono buona ottimo ottima "             \
    "eccellente perfetto meraviglioso fantastico felice soddisfatto gentile veloce "               \
    "affidabile consiglio bello bella grazie successo migliore bom boa ótimo ótima "             \
    "excelente perfeito maravilhoso adorei gostei satisfeito recomendo obrigado sucesso "          \
    "melhor lindo goed goede geweldig uitstekend prachtig perfect blij tevreden vriendelijk "      \
    "snel betrouwbaar aanrader mooi bedankt succes beste fijn"
#define BAD                                                                                        \
    "bad terrible awful horrible poor worst worse hate hated disappointed disappointing "          \
    "disappointment broken fail failed failure failing slow rude dirty useless waste "             \
    "annoying angry sad unhappy problem problems error defect defective wrong refund "             \
    "complaint cold expensive ugly unacceptable unreliable damaged late loss lost crisis "         \
    "died killed noisy schlecht schlechte schlechter schlechtes schlechten schrecklich "           \
    "furchtbar enttäuscht enttäuschend enttäuschung kaputt defekt langsam unfreundlich "        \
    "schmutzig nutzlos ärgerlich wütend traurig probleme fehler falsch teuer hässlich "         \
    "verlust krise mangelhaft leider mauvais mauvaise horrible terrible nul nulle déçu "         \
    "déçue décevant décevante cassé lent lente inutile problème problèmes erreur "          \
    "triste cher perte crise inacceptable pire malo mala malos malas pésimo pésima peor "        \
    "decepcionado decepcionante roto lento lenta sucio inútil problema problemas triste "         \
    "caro pérdida inaceptable odio fallo cattivo cattiva pessimo pessima peggiore deluso "        \
    "deludente rotto sporco inutile errore perdita inaccettabile ruim péssimo péssima pior "     \
    "decepcionado quebrado sujo erro perda inaceitável slecht slechte vreselijk "                 \
    "teleurgesteld teleurstellend kapot traag vies nutteloos probleem problemen fout duur "        \
    "verlies onacceptabel"
#define NOT                                                                                        \
    "not no never don isn wasn doesn didn won wouldn without hardly nicht kein keine keinen "      \
    "nie ohne pas ne jamais sans nunca sin non mai senza não sem niet geen nooit zonder"
#define VERY                                                                                       \
    "very really extremely so too absolutely sehr wirklich äußerst absolut total très "         \
    "vraiment extrêmement muy realmente sumamente molto davvero estremamente muito "              \
    "realmente zeer erg echt"

const struct mr_word_list mr_lists_mood[] = {
    {MR_LEX_GOOD, GOOD},
    {MR_LEX_BAD, BAD},
    {MR_LEX_NOT, NOT},
    {MR_LEX_VERY, VERY},
    {0},
};
