/* Stop words, abbreviations and months of seven languages. */
#include "worker/providers/local/lexicon.h"

#define EN                                                                                         \
    "the a an of to in on at by for with from as is are was were be been being it its this "       \
    "that these those and or but not no nor so if then than too very can could will would "        \
    "shall should may might must do does did done has have had having he she they we you i "       \
    "me him her them us my your his our their what which who whom whose when where why how "       \
    "all any both each few more most other some such only own same just also into about "          \
    "after before between through during above below up down out off over under again "            \
    "further once here there s t don isn aren wasn weren doesn didn hasn haven won wouldn "        \
    "couldn shouldn ll ve re said while because until against since upon within without yet "      \
    "however among per via one two"
#define DE                                                                                         \
    "der die das den dem des ein eine einen einem einer eines und oder aber nicht kein keine "     \
    "keinen auch nur noch schon mit von vom zu zum zur in im ins an am auf aus bei beim nach "     \
    "vor über unter für durch gegen ohne um bis seit während wegen als wie wenn weil dass "     \
    "daß ob damit da dann denn doch so sehr mehr ist sind war waren sei wird werden wurde "       \
    "wurden worden hat haben hatte hatten kann können konnte muss müssen soll sollen will "      \
    "wollen darf es er sie wir ihr ich du man sich mich dich uns euch ihm ihn ihnen ihre "         \
    "ihren ihrem ihrer sein seine seinen seinem seiner dieser diese dieses diesem diesen "         \
    "jeder jede jedes alle allem allen aller welche welcher welches was wer wo hier dort nun "     \
    "zwischen sowie bereits laut jedoch etwa"
#define FR                                                                                         \
    "le la les l un une des du de d et ou mais ne pas plus n en dans sur sous par pour avec "      \
    "sans vers chez entre contre depuis pendant avant après comme que qu qui quoi dont où "      \
    "ce c cet cette ces cela ça il elle ils elles on nous vous je j tu me te se s lui leur "      \
    "leurs son sa ses mon ma mes ton ta tes notre nos votre vos est sont était étaient "         \
    "été être sera seront a ont avait avaient avoir eu fait peut peuvent doit au aux si "       \
    "très aussi ainsi donc car y tout toute tous toutes même autre autres selon lors alors "     \
    "deux encore"
#define ES                                                                                         \
    "el la los las un una unos unas de del al a ante bajo con contra desde en entre hacia "        \
    "hasta para por según sin sobre tras y e o u pero ni no si sí que qué quien quién "        \
    "cual cuando donde como cómo más menos muy ya también este esta estos estas ese esa "       \
    "esos esas aquel aquella esto eso lo le les se me te nos su sus mi mis tu tus nuestro "        \
    "nuestra es son era eran fue fueron ser sido está están estaba ha han había haber hay "     \
    "tiene tienen puede pueden todo toda todos todas otro otra otros otras dos durante "           \
    "porque aunque mientras sino"
#define IT                                                                                         \
    "il lo la i gli le l un uno una di del dello della dei degli delle da dal dalla dai in "       \
    "nel nella nei negli nelle su sul sulla sui a al allo alla ai agli alle con per tra fra "      \
    "e ed o ma non che chi cui quale quali quando dove come perché se si ne ci vi mi ti lui "     \
    "lei loro noi voi io questo questa questi queste quello quella quelli suo sua suoi sue "       \
    "mio mia nostro vostro è sono era erano essere stato stata stati ha hanno aveva avere "       \
    "può possono deve più meno molto anche già ancora solo tutto tutta tutti tutte altro "      \
    "altra altri dopo prima mentre secondo durante dell nell all sull dall"
#define PT                                                                                         \
    "o a os as um uma uns umas de do da dos das em no na nos nas ao à aos às por pelo pela "     \
    "pelos pelas para com sem sob sobre entre até desde após contra e ou mas nem não que "      \
    "quem qual quais quando onde como porque se já também mais menos muito este esta estes "     \
    "estas esse essa isso isto aquele aquela ele ela eles elas nós vós eu tu você me te "       \
    "lhe seu sua seus suas meu minha nosso nossa é são era eram foi foram ser sido está "       \
    "estão estava há tem têm tinha ter pode podem deve todo toda todos todas outro outra "      \
    "outros outras segundo durante num numa"
#define NL                                                                                         \
    "de het een en of maar niet geen ook nog al wel dan toen als dat die dit deze der den "        \
    "des van voor met op in aan bij naar uit om over onder tussen tegen door tot sinds "           \
    "zonder na te er hij zij ze wij we jij je u ik hem haar hen hun ons onze mijn zijn is "        \
    "was waren wordt worden werd werden geworden heeft hebben had hadden kan kunnen kon moet "     \
    "moeten zal zullen zou mag wat wie waar wanneer hoe waarom zo zeer meer meest veel alle "      \
    "alles iets niets elk elke andere omdat hier daar nu reeds volgens tijdens"

#define ABBREVIATIONS                                                                              \
    "mr mrs ms dr prof st vs inc ltd co corp jr sr no fig figs vol approx dept est gov gen "       \
    "col sgt capt lt rev hon messrs mt ave blvd rd pp cf eg ie al jan feb mar apr jun jul "        \
    "aug sep sept oct nov dec nr hr fr bzw ca str bzgl ggf evtl vgl abs mio mrd inkl zzgl "        \
    "sog geb gest ing dipl mag univ bspw mme mlle mm art av bd env éd chap sra srta dra ud "      \
    "uds pág págs núm tel avda sig dott avv pag ecc gent exmo exma dhr mevr bijv drs ir "       \
    "jl resp min max zb"

#define MONTHS                                                                                     \
    "january february march april may june july august september october november december "       \
    "januar jänner februar märz mai juni juli oktober dezember janvier février mars avril "     \
    "juin juillet août septembre octobre novembre décembre enero febrero marzo abril mayo "      \
    "junio julio agosto septiembre octubre noviembre diciembre gennaio febbraio aprile "           \
    "maggio giugno luglio settembre ottobre dicembre janeiro fevereiro março maio junho "         \
    "julho setembro outubro novembro dezembro januari februari maart mei augustus jan feb "        \
    "mar apr jun jul aug sep sept oct okt nov dec dez"

const struct mr_word_list mr_lists_common[] = {
    {MR_LEX_STOP_EN, EN},
    {MR_LEX_STOP_DE, DE},
    {MR_LEX_STOP_FR, FR},
    {MR_LEX_STOP_ES, ES},
    {MR_LEX_STOP_IT, IT},
    {MR_LEX_STOP_PT, PT},
    {MR_LEX_STOP_NL, NL},
    {MR_LEX_ABBREVIATION, ABBREVIATIONS},
    {MR_LEX_MONTH, MONTHS},
    {0},
};
