/* Names of people, organizations and places, and the words that give them away. */
#include "worker/providers/local/lexicon.h"

#define FIRST_NAMES                                                                                \
    "adam adrian alan albert alejandro alessandro alex alexander alexandra alfred alice "          \
    "alicia amanda amelia amir ana andrea andreas andrew angela anita ann anna anne annette "      \
    "anthony antoine antonio arthur astrid barbara beatrice ben benjamin bernard bernd "           \
    "birgit bob brian brigitte bruno camille carla carlo carlos carmen caroline catherine "        \
    "cecilia charles charlotte chiara christian christina christine christoph christopher "        \
    "claire clara claudia claus cristina daniel daniela david deborah denis diana diego "          \
    "dieter dietmar dirk dmitri dominik donald dorothy edith eduardo edward elena elisabeth "      \
    "elizabeth ella ellen emil emily emma enrico eric erik ernst esther eva fabian fatima "        \
    "federico felix fernando fiona florian frances francesca francesco francisco francois "        \
    "françois frank franz fred frederick friedrich gabriel gabriele gary george georg "           \
    "gerard gerhard giorgio giovanni giulia giuseppe gonzalo grace greta guido guillaume "         \
    "gustav hannah hans harald harry heather heike heinrich heinz helen helena helga hendrik "     \
    "henri henry herbert hermann hugo ian ibrahim igor ines ingrid irene isaac isabel "            \
    "isabelle ivan jack jacob jacques jakob james jan jane janet jason javier jean jens "          \
    "jennifer jessica joachim joan joana joão joaquim joe johan johann johannes john jonas "      \
    "jonathan jorge jose josé josef joseph joshua juan juana judith julia julian julie "          \
    "jürgen karen karin karl katharina katherine kathleen katja kenneth kevin klaus kurt "        \
    "lars laura lauren laurent leo leon leonard leonardo lewis linda lisa lorenzo louis "          \
    "louise luca lucas lucia lucía lucy luigi luis luisa lukas manfred manuel manuela marc "      \
    "marcel marco marcus margaret margarita maria maría marie marina mario marion mark "          \
    "markus martha martin martina mary mathieu matteo matthew matthias max maximilian mehmet "     \
    "melanie michael michel michelle miguel mohammed monica monika nadia nancy natalia "           \
    "natalie nathan nicholas nicola nicolas nicole nils nina noah nora oliver olivia olivier "     \
    "oscar otto pablo paola paolo pascal patricia patrick paul paula paulo pedro peter petra "     \
    "philip philipp philippe pierre pieter priya rachel rafael rainer ralf ralph raphaël "        \
    "raúl rebecca regina renate ricardo richard rita robert roberto roger roland rolf "           \
    "ronald rosa ruth ryan sabine sam samantha samuel sandra sara sarah sebastian sergei "         \
    "sergio silke silvia simon simone sofia sofie sophia sophie stefan stefanie stella "           \
    "stephan stephanie stephen steven stéphane susan susanne sven sylvia tanja teresa "           \
    "theodor theresa thomas thierry tim tobias tom tomás udo ulrich ulrike ursula uwe "           \
    "valentina valerie vanessa vera victor victoria vincent virginia vladimir volker walter "      \
    "werner wilhelm willem william wolfgang yves yuki yusuf zoe étienne élise émile "           \
    "ángel álvaro óscar jérôme rené andré béatrice hélène"
#define TITLES                                                                                     \
    "mr mrs ms miss dr prof professor sir lady lord president chancellor minister senator "        \
    "judge king queen prince princess captain colonel general herr frau professorin "              \
    "präsident präsidentin kanzler kanzlerin minister ministerin bürgermeister "                \
    "bürgermeisterin oberbürgermeister oberbürgermeisterin mme mlle monsieur madame "           \
    "président présidente ministre professeur maître sr sra srta señor señora señorita "     \
    "don doña presidente presidenta ministro ministra doctor doctora sig signor signora "         \
    "signorina dott dottoressa professore senhor senhora doutor doutora dhr mevr meneer "          \
    "mevrouw directeur direktor direktorin director directora mayor governor"
#define PARTICLES "von zu van der den de del della di da dos das du la le al bin ibn ter ten"
#define ORG_WORDS                                                                                  \
    "inc ltd limited llc llp plc corp corporation company co group holding holdings gmbh ag "      \
    "se kg kgaa ohg ug mbh sa sas sarl eurl spa srl bv nv oy ab asa pty sl slu lda ltda bank "     \
    "university institute institution ministry council commission committee agency "               \
    "association foundation union party museum hospital college school department authority "      \
    "court parliament senate society federation bureau airlines airways motors industries "        \
    "technologies systems laboratories pharmaceuticals partners labs software networks "           \
    "universität hochschule institut ministerium bundesministerium stiftung verband verein "      \
    "gesellschaft bundesamt landesamt sparkasse klinikum krankenhaus stadtwerke werke "            \
    "genossenschaft universitätsklinikum bundesbank zentralbank université ministère "          \
    "conseil agence fondation société banque musée hôpital parlement sénat universidad "      \
    "ministerio consejo comisión agencia fundación banco museo ayuntamiento sociedad "           \
    "università ministero consiglio agenzia fondazione società banca ospedale universidade "     \
    "ministério conselho agência fundação universiteit ministerie stichting gemeente"
#define ORGS                                                                                       \
    "nato unesco unicef who imf opec oecd wto fbi cia nasa esa cern ibm sap bmw basf bbc cnn "     \
    "ard zdf mit ucla google microsoft apple amazon facebook meta twitter openai anthropic "       \
    "nvidia intel siemens volkswagen daimler mercedes porsche bosch bayer lufthansa telekom "      \
    "allianz adidas airbus boeing toyota honda sony samsung nokia ericsson philips ikea "          \
    "nestlé novartis roche ubs renault peugeot michelin danone carrefour sncf edf orange "        \
    "telefónica santander bbva iberia inditex zara repsol fiat ferrari eni enel unicredit "       \
    "petrobras shell ing heineken reuters spotify netflix tesla oracle cisco adobe wikipedia "     \
    "greenpeace interpol europol european_union european_commission european_parliament "          \
    "european_central_bank united_nations world_bank world_health_organization red_cross "         \
    "federal_reserve white_house supreme_court europäische_union europäische_kommission "        \
    "europäische_zentralbank vereinte_nationen deutsche_bahn deutsche_bank deutsche_telekom "     \
    "deutsche_post bundestag bundesrat bundesregierung union_européenne "                         \
    "commission_européenne nations_unies banque_de_france assemblée_nationale air_france "       \
    "unión_europea comisión_europea naciones_unidas banco_de_españa unione_europea "            \
    "união_europeia europese_unie eu ezb ecb bce uno un onu"
#define PLACES                                                                                     \
    "europe asia africa america australia antarctica europa asien afrika amerika australien "      \
    "afrique asie amérique áfrica américa germany deutschland allemagne alemania germania "     \
    "alemanha duitsland france frankreich francia frança frankrijk spain spanien espagne "        \
    "españa spagna espanha spanje italy italien italie italia itália italië portugal "          \
    "netherlands niederlande nederland belgium belgien belgique bélgica belgio belgië "          \
    "austria österreich autriche switzerland schweiz suisse suiza svizzera suíça "              \
    "zwitserland luxembourg luxemburg denmark dänemark danemark sweden schweden suède "          \
    "suecia norway norwegen norvège noruega finland finnland finlande iceland island irland "     \
    "ireland irlande irlanda poland polen pologne polonia czechia tschechien slovakia "            \
    "slowakei hungary ungarn hongrie hungría romania rumänien roumanie bulgaria bulgarien "      \
    "greece griechenland grèce grecia turkey türkei turquie turquía russia russland "           \
    "russie rusia ukraine ucrania croatia kroatien croatie serbia serbien slovenia slowenien "     \
    "estonia estland latvia lettland lithuania litauen britain großbritannien england "           \
    "scotland schottland wales angleterre inglaterra china chine japan japon japón india "        \
    "indien inde pakistan bangladesh indonesia indonesien vietnam thailand malaysia "              \
    "singapore singapur philippines taiwan iran irak iraq israel syria syrien jordan lebanon "     \
    "libanon egypt ägypten égypte egipto morocco marokko maroc marruecos algeria algerien "      \
    "algérie tunisia tunesien tunisie nigeria kenya kenia ethiopia äthiopien ghana senegal "     \
    "sénégal canada kanada mexico mexiko mexique méxico brazil brasilien brésil brasil "       \
    "argentina argentinien argentine chile colombia kolumbien perú peru venezuela cuba "          \
    "bolivia ecuador uruguay usa uk california kalifornien californie texas florida bavaria "      \
    "bayern bavière baviera saxony sachsen hessen thüringen niedersachsen brandenburg "          \
    "saarland catalonia katalonien catalogne cataluña andalucía bretagne normandie "             \
    "provence toscana sicilia lombardia london londres paris parigi berlin madrid rome rom "       \
    "roma lisbon lissabon lisboa vienna wien vienne viena bern berne zurich zürich geneva "       \
    "genf genève ginebra basel lausanne brussels brüssel bruxelles bruselas antwerp "            \
    "antwerpen amsterdam rotterdam utrecht copenhagen kopenhagen stockholm oslo helsinki "         \
    "reykjavik dublin edinburgh glasgow manchester liverpool birmingham bristol cardiff "          \
    "belfast nottingham sheffield leeds oxford cambridge munich münchen hamburg cologne "         \
    "köln frankfurt stuttgart düsseldorf dortmund essen leipzig dresden hannover nürnberg "     \
    "bremen bonn mannheim heidelberg freiburg augsburg karlsruhe potsdam rostock kiel "            \
    "lübeck mainz graz linz salzburg innsbruck lyon marseille toulouse bordeaux lille "           \
    "nantes strasbourg straßburg nice rennes grenoble montpellier barcelona valencia "            \
    "sevilla seville zaragoza málaga bilbao granada alicante murcia córdoba salamanca "          \
    "milan milano mailand naples napoli turin torino florence firenze florenz venice venezia "     \
    "venedig bologna genova palermo porto coimbra braga warsaw warschau krakow prague prag "       \
    "budapest bucharest sofia athens athen istanbul ankara moscow moskau moscou kyiv kiew "        \
    "beijing peking shanghai tokyo tokio osaka kyoto seoul delhi mumbai bangalore calcutta "       \
    "dubai tehran baghdad jerusalem cairo kairo nairobi lagos johannesburg casablanca sydney "     \
    "melbourne toronto montreal montréal vancouver ottawa washington boston chicago houston "     \
    "dallas philadelphia seattle miami atlanta detroit denver phoenix portland havana "            \
    "bogotá lima santiago montevideo caracas são_paulo rio_de_janeiro buenos_aires "             \
    "brasília new_york new_york_city los_angeles san_francisco san_diego las_vegas "              \
    "new_orleans hong_kong new_delhi cape_town tel_aviv abu_dhabi kuala_lumpur "                   \
    "ho_chi_minh_city mexico_city the_hague den_haag la_haye united_states united_kingdom "        \
    "united_arab_emirates great_britain northern_ireland new_zealand south_africa "                \
    "south_korea north_korea saudi_arabia sri_lanka costa_rica el_salvador puerto_rico "           \
    "czech_republic vereinigte_staaten vereinigten_staaten vereinigtes_königreich "               \
    "états_unis royaume_uni pays_bas nouvelle_zélande afrique_du_sud estados_unidos "            \
    "reino_unido países_bajos nueva_york new_jersey north_carolina south_carolina "               \
    "west_virginia north_dakota south_dakota new_mexico new_hampshire rhode_island "               \
    "baden_württemberg nordrhein_westfalen rheinland_pfalz sachsen_anhalt "                       \
    "schleswig_holstein mecklenburg_vorpommern frankfurt_am_main silicon_valley middle_east "      \
    "latin_america north_america south_america la_rochelle le_havre saint_étienne "               \
    "aix_en_provence"
#define PLACE_WORDS                                                                                \
    "river lake street avenue road square bridge island islands mountain mountains valley "        \
    "bay sea ocean county city park airport harbour harbor beach peninsula desert canal "          \
    "straße strasse platz allee rue boulevard lac fleuve calle plaza avenida río lago via "      \
    "piazza viale rua praça"
#define NO_NAMES                                                                                   \
    "monday tuesday wednesday thursday friday saturday sunday montag dienstag mittwoch "           \
    "donnerstag freitag samstag sonnabend sonntag english german french spanish italian "          \
    "portuguese dutch european american british chinese japanese russian indian african "          \
    "asian internet web pdf html json xml http api url ceo cfo cto phd id ok pm am dear "          \
    "regards sincerely yours best hello hi thank thanks please subject page chapter section "      \
    "figure table appendix annex article total invoice date number phone tel telephone "           \
    "telefon email mail fax iban bic vat note notes summary introduction abstract conclusion "     \
    "however meanwhile yesterday today tomorrow although chief executive officer director "        \
    "manager chairman chairwoman earlier later last next first second third according "            \
    "another many several unternehmen firma konzern hersteller herr frau stadt land kreis "        \
    "amt seite tabelle abbildung kapitel sehr geehrte geehrter liebe lieber januar februar "       \
    "lundi mardi mercredi jeudi vendredi samedi dimanche lunes martes miércoles jueves "          \
    "viernes sábado domingo"
#define SAID                                                                                       \
    "said says told added wrote writes explained announced argued asked replied thinks "           \
    "believes joined resigned founded sagte sagt erklärte betonte meinte schrieb dit "            \
    "déclaré ajouté affirme explique dijo afirmó explicó añadió declaró ha_detto "         \
    "disse spiegato afirmou zei verklaarde"
#define IN "in near à en aux em te naar vers hacia"

const struct mr_word_list mr_lists_names[] = {
    {MR_LEX_FIRST_NAME, FIRST_NAMES},
    {MR_LEX_TITLE, TITLES},
    {MR_LEX_PARTICLE, PARTICLES},
    {MR_LEX_ORG_WORD, ORG_WORDS},
    {MR_LEX_ORG, ORGS},
    {MR_LEX_PLACE, PLACES},
    {MR_LEX_PLACE_WORD, PLACE_WORDS},
    {MR_LEX_NO_NAME, NO_NAMES},
    {MR_LEX_SAID, SAID},
    {MR_LEX_IN, IN},
    {0},
};
